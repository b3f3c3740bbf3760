//! The token of x86-64 on all other processors: a type without values.

use crate::Backend;

/// No processor but x86-64 has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum X86 {}

impl X86 {
    #[inline]
    pub(crate) const fn detect(_: Option<Backend>) -> Option<Self> {
        None
    }

    pub(crate) const fn backend(self) -> Backend {
        match self {}
    }

    #[inline]
    pub(crate) const fn last_cache(self) -> usize {
        match self {}
    }
}
