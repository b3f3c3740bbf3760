//! The tokens of x86-64 on all other processors: types without values.

use super::X86;
use crate::Backend;

/// No processor but x86-64 has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Avx2 {}

/// No processor but x86-64 has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Avx512 {}

impl X86 {
    #[inline]
    pub(crate) const fn detect(_: Option<Backend>) -> Option<Self> {
        None
    }

    #[inline]
    pub(crate) const fn last_cache(self) -> usize {
        match self {}
    }
}
