//! What an x86-64 processor can do beyond the build's own instructions, asked without `std`.
//!
//! A token exists only where its instructions do, so that a function that takes one may call
//! functions that need them.

#![allow(unsafe_code, reason = "asks the processor")]

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use core::sync::atomic::{AtomicU8, Ordering};

use crate::Backend;

/// Proof of AVX2, BMI1, BMI2, LZCNT, POPCNT and F16C.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

/// Proof of AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and VPOPCNTDQ besides.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    #[inline]
    pub(crate) const fn avx2(self) -> Avx2 {
        let Self(()) = self;
        Avx2(())
    }
}

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub enum X86 {
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

    /// What both have.
    #[inline]
    pub(crate) const fn avx2(self) -> Avx2 {
        match self {
            Self::Avx2(avx2) => avx2,
            Self::Avx512(avx512) => avx512.avx2(),
        }
    }
}

const UNKNOWN: u8 = 0;
const NONE: u8 = 1;
const AVX2: u8 = 2;
const AVX512: u8 = 3;

/// What was found: asked once, as the answer takes hundreds of cycles on a virtual machine.
static LEVEL: AtomicU8 = AtomicU8::new(UNKNOWN);

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
    // BMI1, AVX2, BMI2; VBMI, VBMI2, VPOPCNTDQ; LZCNT.
    let [_, leaf_7, leaf_7c, _] = cpuid(7);
    let [_, _, extended, _] = cpuid(0x8000_0001);
    // The operating system keeps the registers of SSE and AVX.
    if !(has(leaf_7, &[3, 5, 8]) && has(extended, &[5]) && has(saved, &[1, 2])) {
        return NONE;
    }
    // F, DQ, BW, VL; and the operating system keeps all three parts of the registers.
    if has(leaf_7, &[16, 17, 30, 31]) && has(leaf_7c, &[1, 6, 14]) && has(saved, &[5, 6, 7]) {
        AVX512
    } else {
        AVX2
    }
}

#[allow(unused_unsafe, reason = "safe from Rust 1.94 on")]
fn cpuid(leaf: u32) -> [u32; 4] {
    // SAFETY: every x86-64 processor has the instruction.
    let registers = unsafe { if leaf == 7 { __cpuid_count(leaf, 0) } else { __cpuid(leaf) } };
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
            && std_has!("avx512vpopcntdq");
        let has = |backend| X86::detect(Some(backend)).is_some();
        assert_eq!(has(Backend::Avx2), avx2);
        assert_eq!(has(Backend::Avx512), avx2 && avx512);
        assert_eq!(X86::detect(None).is_some(), avx2);
        assert!(!has(Backend::Scalar) && !has(Backend::Simd));
    }
}
