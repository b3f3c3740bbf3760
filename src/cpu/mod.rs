//! What can run here: the backends, and tokens that prove their instructions.
//!
//! Each stage has one file per backend in its folder, with the same function names, and one
//! `match` on [`Level`] in its `mod.rs`.

use core::fmt;

use crate::Error;

#[cfg_attr(not(all(target_arch = "x86_64", target_feature = "sse2")), path = "absent.rs")]
mod x86;

pub(crate) use x86::X86;

/// An implementation of the stages. All of them give the same bits.
///
/// If the caller does not choose, the crate asks the processor once, at the first call, and uses the
/// fastest backend that it has.
///
/// ```
/// use dropblock::{Backend, DropBlock, Key, Shape};
///
/// let layer = DropBlock::new(3, 0.2)?;
/// let count = |layer: DropBlock| layer.plan(Shape::nchw(2, 4, 10, 10))?.count(Key::new(1));
/// for backend in Backend::available() {
///     assert_eq!(count(layer.with_backend(backend)?), count(layer), "{backend}");
/// }
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Plain integer and float code, for any target.
    Scalar,
    /// SIMD through the crate `wide`, and for dilation through arrays that compilers turn into
    /// vectors. Both use the instructions of the build, never those found at run time: SSE2 on x86
    /// unless the build enables more, NEON on AArch64, `simd128` on WebAssembly. Builds for other
    /// processors do not have it, because without vectors it is larger than `Scalar` and no faster.
    Simd,
    /// x86-64 with AVX2, BMI1, BMI2, LZCNT, POPCNT and F16C (most machines since 2013), found at
    /// run time.
    Avx2,
    /// x86-64 with all of `Avx2`, AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and VPOPCNTDQ, and GFNI (Ice
    /// Lake, Zen 4 and later), found at run time.
    Avx512,
}

impl Backend {
    /// Every backend, slowest first. [`available`](Self::available) leaves out those that cannot
    /// run here.
    pub const ALL: &'static [Self] = &[Self::Scalar, Self::Simd, Self::Avx2, Self::Avx512];

    /// Returns the backends that can run here, slowest first.
    #[inline]
    pub fn available() -> impl DoubleEndedIterator<Item = Self> + Clone {
        Self::ALL.iter().copied().filter(|backend| backend.is_available())
    }

    /// Returns the fastest backend that can run here. It is used if none is chosen.
    #[inline]
    #[must_use]
    pub fn detect() -> Self {
        Level::of(None).backend()
    }

    /// Tells whether the backend can run in this build on this machine.
    #[inline]
    #[must_use]
    pub fn is_available(self) -> bool {
        Level::of(Some(self)).backend() == self
    }

    /// The backend, or the error if it cannot run here.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        if self.is_available() { Ok(self) } else { Err(Error::Backend { given: self }) }
    }

    /// Returns the name in lower case: `scalar`, `simd`, `avx2`, `avx512`.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Simd => "simd",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Backend {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Proof that the build has vectors that `wide` knows. Without them it cannot exist, so that
/// nothing of [`Level::Simd`] is in the program: on a microcontroller that is a third of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vectors {
    #[cfg(any(
        target_feature = "sse2",
        target_feature = "simd128",
        all(target_arch = "aarch64", target_feature = "neon")
    ))]
    Known,
}

impl Vectors {
    const fn of_build() -> Option<Self> {
        #[cfg(any(
            target_feature = "sse2",
            target_feature = "simd128",
            all(target_arch = "aarch64", target_feature = "neon")
        ))]
        return Some(Self::Known);
        #[allow(unreachable_code, reason = "what is left where the build has no vectors")]
        None
    }
}

/// What can run here: each variant is proof that its instructions are there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    Scalar,
    Simd(Vectors),
    X86(X86),
}

impl Level {
    /// The chosen backend, without a choice the fastest. One that cannot run here gives another.
    #[inline]
    pub(crate) fn of(choice: Option<Backend>) -> Self {
        if let Some(x86) = X86::detect(choice) {
            return Self::X86(x86);
        }
        match Vectors::of_build() {
            Some(vectors) if choice != Some(Backend::Scalar) => Self::Simd(vectors),
            _ => Self::Scalar,
        }
    }

    pub(crate) const fn backend(self) -> Backend {
        match self {
            Self::Scalar => Backend::Scalar,
            Self::Simd(_) => Backend::Simd,
            Self::X86(x86) => x86.backend(),
        }
    }
}

/// A call of what only x86-64 has. Where the token cannot exist there is nothing to call.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
macro_rules! on_x86 {
    ($token:expr, $call:expr) => {
        $call
    };
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
macro_rules! on_x86 {
    ($token:expr, $call:expr) => {
        match $token {}
    };
}

pub(crate) use on_x86;
