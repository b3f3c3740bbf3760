//! What an x86-64 processor can do beyond the build's own instructions, asked without `std`.
//!
//! A token exists only where its instructions do, so that a function that takes one may call
//! functions that need them.

#![allow(unsafe_code, reason = "asks the processor")]

use core::arch::x86_64::{__cpuid_count, _xgetbv};
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::Backend;

/// Proof of AVX2, BMI1, BMI2, LZCNT, POPCNT and F16C.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

/// Proof of AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and VPOPCNTDQ, and of GFNI, besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    #[inline]
    const fn avx2(self) -> Avx2 {
        let Self(()) = self;
        Avx2(())
    }
}

/// Proof of the instructions of one of the x86-64 backends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum X86 {
    Avx2(Avx2),
    Avx512(Avx512),
}

impl X86 {
    /// The chosen one, without a choice the faster one, if the processor has it.
    #[inline]
    pub(crate) fn detect(choice: Option<Backend>) -> Option<Self> {
        match choice {
            Some(Backend::Avx512) | None if level() >= AVX512 => Some(Self::Avx512(Avx512(()))),
            Some(Backend::Avx2) | None if level() >= AVX2 => Some(Self::Avx2(Avx2(()))),
            _ => None,
        }
    }

    pub(crate) const fn backend(self) -> Backend {
        match self {
            Self::Avx2(_) => Backend::Avx2,
            Self::Avx512(_) => Backend::Avx512,
        }
    }

    /// What both have.
    #[inline]
    pub(crate) const fn avx2(self) -> Avx2 {
        match self {
            Self::Avx2(avx2) => avx2,
            Self::Avx512(avx512) => avx512.avx2(),
        }
    }

    /// The bytes of the largest cache that a core can use, `usize::MAX` if it is not known. A virtual
    /// machine may have less.
    #[inline]
    pub(crate) fn last_cache(self) -> usize {
        match LAST_CACHE.load(Ordering::Relaxed) {
            0 => ask_last_cache(),
            bytes => bytes,
        }
    }
}

const UNKNOWN: u8 = 0;
const NONE: u8 = 1;
const AVX2: u8 = 2;
const AVX512: u8 = 3;

/// What was found: asked once, as the answer takes hundreds of cycles on a virtual machine.
static LEVEL: AtomicU8 = AtomicU8::new(UNKNOWN);

/// The same; 0 until it has been asked.
static LAST_CACHE: AtomicUsize = AtomicUsize::new(0);

#[cold]
fn ask_last_cache() -> usize {
    let bytes = find_last_cache().unwrap_or(usize::MAX);
    LAST_CACHE.store(bytes, Ordering::Relaxed);
    bytes
}

/// Intel's manual, volume 2, CPUID, leaf 4; AMD64 Architecture Programmer's Manual, volume 3, section
/// E.4.15, leaf 8000_001d, which has the same form.
fn find_last_cache() -> Option<usize> {
    let [highest, ..] = cpuid(0);
    let [highest_extended, ..] = cpuid(0x8000_0000);
    let [_, _, extended, _] =
        if highest_extended > 0x8000_0000 { cpuid(0x8000_0001) } else { [0; 4] };
    let leaf = if highest_extended >= 0x8000_001d && extended >> 22 & 1 == 1 {
        0x8000_001d
    } else if highest >= 4 {
        4
    } else {
        return None;
    };
    let caches = (0..8).map(|i| cpuid_count(leaf, i)).take_while(|[kind, ..]| kind & 31 != 0);
    caches
        .filter(|[kind, ..]| kind & 31 != INSTRUCTIONS)
        .map(|[_, parts, sets, _]| {
            let part = |shift: u32, bits: u32| ((parts >> shift & ((1 << bits) - 1)) + 1) as usize;
            part(0, 12) * part(12, 10) * part(22, 10) * (sets as usize + 1)
        })
        .max()
}

/// The kind of a cache that holds no data.
const INSTRUCTIONS: u32 = 2;

#[inline]
fn level() -> u8 {
    // Threads that ask at the same time find the same.
    match LEVEL.load(Ordering::Relaxed) {
        UNKNOWN => ask(),
        level => level,
    }
}

#[cold]
fn ask() -> u8 {
    let level = find();
    LEVEL.store(level, Ordering::Relaxed);
    level
}

/// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, sections 14.3 and 15.2.
fn find() -> u8 {
    // Neither an interpreter nor an enclave can ask.
    if cfg!(any(miri, target_env = "sgx")) {
        return NONE;
    }
    let has = |register: u32, bits: &[u32]| bits.iter().all(|bit| register >> bit & 1 == 1);
    let [highest, ..] = cpuid(0);
    let [highest_extended, ..] = cpuid(0x8000_0000);
    if highest < 7 || highest_extended < 0x8000_0001 {
        return NONE;
    }
    // POPCNT, XSAVE, OSXSAVE, AVX, F16C.
    let [_, _, features, _] = cpuid(1);
    if !has(features, &[23, 26, 27, 28, 29]) {
        return NONE;
    }
    // SAFETY: the processor has XSAVE and the operating system has enabled it (OSXSAVE).
    let saved = unsafe { saved_registers() } as u32;
    // BMI1, AVX2, BMI2; VBMI, VBMI2, GFNI, VPOPCNTDQ; LZCNT.
    let [_, leaf_7, leaf_7c, _] = cpuid(7);
    let [_, _, extended, _] = cpuid(0x8000_0001);
    // The operating system keeps the registers of SSE and AVX.
    if !(has(leaf_7, &[3, 5, 8]) && has(extended, &[5]) && has(saved, &[1, 2])) {
        return NONE;
    }
    // F, DQ, BW, VL; and the operating system keeps all three parts of the registers.
    if has(leaf_7, &[16, 17, 30, 31]) && has(leaf_7c, &[1, 6, 8, 14]) && has(saved, &[5, 6, 7]) {
        AVX512
    } else {
        AVX2
    }
}

fn cpuid(leaf: u32) -> [u32; 4] {
    cpuid_count(leaf, 0)
}

#[allow(unused_unsafe, reason = "safe from Rust 1.94 on")]
fn cpuid_count(leaf: u32, part: u32) -> [u32; 4] {
    // SAFETY: every x86-64 processor has the instruction.
    let registers = unsafe { __cpuid_count(leaf, part) };
    [registers.eax, registers.ebx, registers.ecx, registers.edx]
}

/// XCR0: the registers that the operating system saves.
#[target_feature(enable = "xsave")]
fn saved_registers() -> u64 {
    // SAFETY: register 0 exists wherever XSAVE does.
    unsafe { _xgetbv(0) }
}

#[cfg(all(test, not(miri)))]
mod tests {
    extern crate std;

    use std::is_x86_feature_detected as std_has;

    use super::*;

    /// Linux asks in its own ways.
    #[test]
    fn finds_the_cache_that_the_system_finds() {
        let Some(found) = find_last_cache() else { return };
        let size = |i| {
            let path = std::format!("/sys/devices/system/cpu/cpu0/cache/index{i}/size");
            let text = std::fs::read_to_string(path).ok()?;
            text.trim().strip_suffix('K')?.parse::<usize>().ok()
        };
        if let Some(kib) = (0..8).filter_map(size).max() {
            assert_eq!(found, kib << 10);
        }
    }

    #[test]
    fn finds_what_the_standard_library_finds() {
        let avx2 = std_has!("avx2")
            && std_has!("bmi1")
            && std_has!("bmi2")
            && std_has!("lzcnt")
            && std_has!("popcnt")
            && std_has!("f16c");
        let avx512 = std_has!("avx512f")
            && std_has!("avx512bw")
            && std_has!("avx512dq")
            && std_has!("avx512vl")
            && std_has!("avx512vbmi")
            && std_has!("avx512vbmi2")
            && std_has!("avx512vpopcntdq")
            && std_has!("gfni");
        let has = |backend| X86::detect(Some(backend)).is_some();
        assert_eq!(has(Backend::Avx2), avx2);
        assert_eq!(has(Backend::Avx512), avx2 && avx512);
        assert_eq!(X86::detect(None).is_some(), avx2);
        assert!(!has(Backend::Scalar) && !has(Backend::Simd));
    }
}
