//! Vectors of 32-bit integers for `x86.rs`, eight or sixteen.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;

use super::x86::{Lanes, Places};

/// A vector of 32-bit integers at one level, whose instructions all functions need.
pub(crate) trait Ints: Copy {
    /// Some lanes.
    type Mask: Copy;
    const LANES: usize;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn splat(value: u32) -> Self;

    /// # Safety
    ///
    /// `values` is valid for a read of `LANES` integers.
    unsafe fn load(values: *const u32) -> Self;

    /// # Safety
    ///
    /// `values` is valid for a write of `LANES` integers.
    unsafe fn store(self, values: *mut u32);

    /// `table[index]` for each lane's index.
    ///
    /// # Safety
    ///
    /// All indices are inside the table.
    unsafe fn gather(table: *const u32, indices: Self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn add(self, other: Self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn sub(self, other: Self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn min(self, other: Self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn xor(self, other: Self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn and(self, other: Self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn shl<const N: u32>(self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn shr<const N: u32>(self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn rol<const N: u32, const REST: u32>(self) -> Self;

    /// The lower 32 bits of the product.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn mul(self, factor: u32) -> Self;

    /// `self * factor >> shift`, of the product in 64 bits; the result must have no more than 32.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn mul_shr(self, factor: u32, shift: u32) -> Self;

    /// The lanes below `count`.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn first(count: usize) -> Self::Mask;

    /// Those of the mask's lanes that are less than the other's; both below 2^31.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn less(self, other: Self, among: Self::Mask) -> Self::Mask;

    /// Those of the mask's lanes that differ from the other's.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn differ(self, other: Self, among: Self::Mask) -> Self::Mask;

    /// One more in the mask's lanes.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn increment(self, mask: Self::Mask) -> Self;

    /// These in the mask's lanes, others elsewhere.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn select(self, mask: Self::Mask, others: Self) -> Self;

    /// The integer of another lane for each, by its lowest bits.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn of_lanes(self, lanes: Self) -> Self;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn is_empty(mask: Self::Mask) -> bool;

    /// Writes the mask's lanes one behind the other, and anything to the rest of a vector. Returns
    /// how many they are.
    ///
    /// # Safety
    ///
    /// `list` is valid for a write of `LANES` integers.
    unsafe fn store_some(self, mask: Self::Mask, list: *mut u32) -> usize;

    /// [`Lanes::draw`] in a function of its own: in a loop of the caller's it would lack registers.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn draw<const N: usize>(
        lanes: &mut Lanes<'_, Self>,
        places: &impl Places<Self>,
        list: &mut [u32; N],
    ) -> usize;

    /// Four words of bits, shifted up by fewer than 64, together with what comes from the words below
    /// them.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn shift_words(words: __m256i, below: __m256i, shift: usize) -> __m256i;
}

/// What is the same at both levels but for the names of the instructions.
macro_rules! shared {
    (
        $vector:ident, $features:literal, $splat:ident, $add:ident, $sub:ident, $min:ident, $xor:ident, $and:ident, $or:ident,
        $mul:ident, $mul_even:ident, $shl_64:ident, $shr_64:ident, $shr_64_by:ident
    ) => {
        #[inline(always)]
        unsafe fn splat(value: u32) -> Self {
            // SAFETY: the caller's.
            unsafe { $splat(value.cast_signed()) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { $add(self, other) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { $sub(self, other) }
        }

        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { $min(self, other) }
        }

        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { $xor(self, other) }
        }

        #[inline(always)]
        unsafe fn and(self, other: Self) -> Self {
            // SAFETY: the caller's.
            unsafe { $and(self, other) }
        }

        #[inline(always)]
        unsafe fn rol<const N: u32, const REST: u32>(self) -> Self {
            const { assert!(N + REST == u32::BITS) };
            // SAFETY: the caller's.
            unsafe { $or(self.shl::<N>(), self.shr::<REST>()) }
        }

        #[inline(always)]
        unsafe fn mul(self, factor: u32) -> Self {
            // SAFETY: the caller's.
            unsafe { $mul(self, Self::splat(factor)) }
        }

        #[inline(always)]
        unsafe fn mul_shr(self, factor: u32, shift: u32) -> Self {
            // SAFETY: the caller's.
            unsafe {
                let (factor, shift) = (Self::splat(factor), _mm_cvtsi32_si128(shift.cast_signed()));
                let even = $shr_64_by($mul_even(self, factor), shift);
                let odd = $shr_64_by($mul_even($shr_64::<32>(self), factor), shift);
                $or(even, $shl_64::<32>(odd))
            }
        }

        unsafe fn draw<const N: usize>(
            lanes: &mut Lanes<'_, Self>,
            places: &impl Places<Self>,
            list: &mut [u32; N],
        ) -> usize {
            #[target_feature(enable = $features)]
            #[inline(never)]
            fn draw<const N: usize>(
                lanes: &mut Lanes<'_, $vector>,
                places: &impl Places<$vector>,
                list: &mut [u32; N],
            ) -> usize {
                // SAFETY: this function has the instructions.
                unsafe { lanes.draw(places, list) }
            }
            // SAFETY: the caller's.
            unsafe { draw(lanes, places, list) }
        }
    };
}

impl Ints for __m256i {
    /// All bits of a lane, or none.
    type Mask = Self;
    const LANES: usize = 8;

    shared!(
        __m256i,
        "avx2,bmi1,bmi2,lzcnt,popcnt",
        _mm256_set1_epi32,
        _mm256_add_epi32,
        _mm256_sub_epi32,
        _mm256_min_epu32,
        _mm256_xor_si256,
        _mm256_and_si256,
        _mm256_or_si256,
        _mm256_mullo_epi32,
        _mm256_mul_epu32,
        _mm256_slli_epi64,
        _mm256_srli_epi64,
        _mm256_srl_epi64
    );

    #[inline(always)]
    unsafe fn load(values: *const u32) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_si256(values.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, values: *mut u32) {
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_si256(values.cast(), self) }
    }

    #[inline(always)]
    unsafe fn gather(table: *const u32, indices: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_i32gather_epi32::<4>(table.cast(), indices) }
    }

    #[inline(always)]
    unsafe fn shl<const N: u32>(self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_sll_epi32(self, _mm_cvtsi32_si128(const { N.cast_signed() })) }
    }

    #[inline(always)]
    unsafe fn shr<const N: u32>(self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_srl_epi32(self, _mm_cvtsi32_si128(const { N.cast_signed() })) }
    }

    #[inline(always)]
    unsafe fn first(count: usize) -> Self {
        const LANE: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
        // SAFETY: the load is of an array, the rest the caller's.
        unsafe {
            _mm256_cmpgt_epi32(
                Self::splat(count.min(Self::LANES) as u32),
                Self::load(LANE.as_ptr()),
            )
        }
    }

    #[inline(always)]
    unsafe fn less(self, other: Self, among: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_and_si256(among, _mm256_cmpgt_epi32(other, self)) }
    }

    #[inline(always)]
    unsafe fn differ(self, other: Self, among: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_andnot_si256(_mm256_cmpeq_epi32(self, other), among) }
    }

    #[inline(always)]
    unsafe fn increment(self, mask: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_sub_epi32(self, mask) }
    }

    #[inline(always)]
    unsafe fn select(self, mask: Self, others: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_blendv_epi8(others, self, mask) }
    }

    #[inline(always)]
    unsafe fn of_lanes(self, lanes: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm256_permutevar8x32_epi32(self, lanes) }
    }

    #[inline(always)]
    unsafe fn is_empty(mask: Self) -> bool {
        // SAFETY: the caller's.
        unsafe { _mm256_testz_si256(mask, mask) == 1 }
    }

    #[inline(always)]
    unsafe fn store_some(self, mask: Self, list: *mut u32) -> usize {
        // SAFETY: the load is of eight bytes of the table, which has one for each mask; the rest
        // the caller's.
        unsafe {
            let mask = _mm256_movemask_ps(_mm256_castsi256_ps(mask)) as usize;
            let order = _mm_loadl_epi64(ORDER.as_ptr().add(mask & 255).cast());
            let some = _mm256_permutevar8x32_epi32(self, _mm256_cvtepu8_epi32(order));
            _mm256_storeu_si256(list.cast(), some);
            mask.count_ones() as usize
        }
    }

    #[inline(always)]
    unsafe fn shift_words(words: Self, below: Self, shift: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let up = _mm256_sll_epi64(words, _mm_cvtsi64_si128(shift as i64));
            // A shift by 64 leaves nothing.
            let down = _mm256_srl_epi64(below, _mm_cvtsi64_si128(64 - shift as i64));
            _mm256_or_si256(up, down)
        }
    }
}

/// For each mask its lanes, in order.
static ORDER: [[u8; 8]; 256] = {
    let mut order = [[0; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut lane, mut len) = (0, 0);
        while lane < 8 {
            if mask >> lane & 1 == 1 {
                order[mask][len] = lane;
                len += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    order
};

impl Ints for __m512i {
    type Mask = __mmask16;
    const LANES: usize = 16;

    shared!(
        __m512i,
        "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512dq,avx512vl",
        _mm512_set1_epi32,
        _mm512_add_epi32,
        _mm512_sub_epi32,
        _mm512_min_epu32,
        _mm512_xor_si512,
        _mm512_and_si512,
        _mm512_or_si512,
        _mm512_mullo_epi32,
        _mm512_mul_epu32,
        _mm512_slli_epi64,
        _mm512_srli_epi64,
        _mm512_srl_epi64
    );

    #[inline(always)]
    unsafe fn load(values: *const u32) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_epi32(values.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, values: *mut u32) {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_si512(values.cast(), self) }
    }

    #[inline(always)]
    unsafe fn gather(table: *const u32, indices: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_i32gather_epi32::<4>(indices, table.cast()) }
    }

    #[inline(always)]
    unsafe fn shl<const N: u32>(self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_slli_epi32::<N>(self) }
    }

    #[inline(always)]
    unsafe fn shr<const N: u32>(self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_srli_epi32::<N>(self) }
    }

    #[inline(always)]
    unsafe fn first(count: usize) -> __mmask16 {
        !(u32::MAX << count.min(Self::LANES)) as __mmask16
    }

    #[inline(always)]
    unsafe fn less(self, other: Self, among: __mmask16) -> __mmask16 {
        // SAFETY: the caller's.
        unsafe { _mm512_mask_cmplt_epi32_mask(among, self, other) }
    }

    #[inline(always)]
    unsafe fn differ(self, other: Self, among: __mmask16) -> __mmask16 {
        // SAFETY: the caller's.
        unsafe { _mm512_mask_cmpneq_epi32_mask(among, self, other) }
    }

    #[inline(always)]
    unsafe fn increment(self, mask: __mmask16) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_mask_add_epi32(self, mask, self, Self::splat(1)) }
    }

    #[inline(always)]
    unsafe fn select(self, mask: __mmask16, others: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_mask_blend_epi32(mask, others, self) }
    }

    #[inline(always)]
    unsafe fn of_lanes(self, lanes: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { _mm512_permutexvar_epi32(lanes, self) }
    }

    #[inline(always)]
    unsafe fn is_empty(mask: __mmask16) -> bool {
        mask == 0
    }

    #[inline(always)]
    unsafe fn store_some(self, mask: __mmask16, list: *mut u32) -> usize {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_epi32(list.cast(), _mm512_maskz_compress_epi32(mask, self)) };
        mask.count_ones() as usize
    }

    #[inline(always)]
    unsafe fn shift_words(words: __m256i, below: __m256i, shift: usize) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_shldv_epi64(words, below, _mm256_set1_epi64x(shift as i64)) }
    }
}
