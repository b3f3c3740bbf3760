//! The only dispatch: which implementation of the stages runs.
//!
//! Each stage has one file per backend in its folder, with the same function names, and one
//! `match` on [`Level`] in its `mod.rs`. A device is one more variant and one more file per stage.

use core::fmt;

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use crate::x86::X86;

/// An implementation of the stages. All of them give the same bits.
///
/// Without a choice of the caller's the fastest one that the processor has is used; it is asked
/// once, at the first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Plain integer and float code, for any target.
    Scalar,
    /// SIMD through the `wide` crate, and for dilation through arrays that compilers turn into
    /// vectors. Both have the instructions of the build (on x86 SSE2, unless it enables more; on
    /// AArch64 NEON; wasm `simd128`), never those found at run time. Builds for other processors
    /// do not have it: without vectors it is larger than `Scalar` and no faster.
    Simd,
    /// x86-64 with AVX2, BMI1, BMI2, LZCNT, POPCNT and F16C (most machines since 2013), found at
    /// run time.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and VPOPCNTDQ besides (Ice Lake, Zen 4 and later), found at
    /// run time.
    Avx512,
}

impl Backend {
    /// Every backend of this build, slowest first. [`available`](Self::available) leaves out
    /// those that the processor lacks.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    pub const ALL: &'static [Self] = &[Self::Scalar, Self::Simd, Self::Avx2, Self::Avx512];

    /// Every backend of this build, slowest first. [`available`](Self::available) leaves out
    /// those that the processor lacks.
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    pub const ALL: &'static [Self] =
        if Vectors::of_build().is_some() { &[Self::Scalar, Self::Simd] } else { &[Self::Scalar] };

    /// Returns the backends that can run here, slowest first.
    #[inline]
    pub fn available() -> impl DoubleEndedIterator<Item = Self> + Clone {
        Self::ALL.iter().copied().filter(|backend| backend.is_available())
    }

    /// Returns the fastest backend that can run here: the one that is used if none is chosen.
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

    /// Returns the lower-case name, as `scalar`.
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
        #[cfg(not(any(
            target_feature = "sse2",
            target_feature = "simd128",
            all(target_arch = "aarch64", target_feature = "neon")
        )))]
        None
    }
}

/// A backend that can run here: those with vectors carry the proof.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    Scalar,
    Simd(Vectors),
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    X86(X86),
}

impl Level {
    /// The chosen one if it can run here, else the portable one; without a choice the fastest.
    #[inline]
    pub(crate) fn of(choice: Option<Backend>) -> Self {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
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
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Self::X86(X86::Avx2(_)) => Backend::Avx2,
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Self::X86(X86::Avx512(_)) => Backend::Avx512,
        }
    }
}
