//! The only dispatch: which implementation of the stages runs.
//!
//! Each stage has one file per backend in its folder, with the same function names, and one
//! `match` on [`Backend`] in its `mod.rs`. A level chosen at run time (`core::arch` behind
//! `#[target_feature]`) or a device is one more variant here and one more file per stage.

use core::fmt;

/// An implementation of the stages. All of them give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Plain integer and float code, for any target.
    Scalar,
    /// SIMD through the `wide` crate. `wide` picks its instructions at compile time (on
    /// x86-64 SSE2, unless the build enables more; NEON; wasm `simd128`), never at run time.
    Simd,
}

impl Backend {
    /// Every backend of this build, slowest first.
    pub const ALL: &'static [Self] = &[Self::Scalar, Self::Simd];

    /// Returns the fastest backend that can run here.
    #[inline]
    #[must_use]
    pub const fn detect() -> Self {
        Self::Simd
    }

    /// Tells whether the backend can run in this build on this machine.
    #[inline]
    #[must_use]
    pub const fn is_available(self) -> bool {
        match self {
            Self::Scalar | Self::Simd => true,
        }
    }

    /// Returns the lower-case name, as `scalar`.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Simd => "simd",
        }
    }
}

impl fmt::Display for Backend {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
