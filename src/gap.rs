//! The distribution of the gap from one centre to the next, as an integer alias table.
//!
//! In a row of positions, each a centre with probability gamma, the number of positions between
//! two centres is geometric: `P(gap >= j) = (1 - gamma)^j`. Drawing the gap costs one step a
//! centre instead of one a position. The table (Walker 1977; construction after Vose 1991) has
//! [`COLUMNS`] columns of equal weight; each is shared by at most two gaps. Its last gap,
//! [`LONG`], stands for "at least that long": go on and draw again, as the distribution is
//! memoryless. All probabilities are exact to 2^-32; their sum is 1 exactly.

use crate::gamma::{ONE, mul};

/// The number of columns, a power of two.
pub(crate) const COLUMNS: usize = 1 << COLUMN_BITS;
pub(crate) const COLUMN_BITS: u32 = 10;
/// The gap that means "this many positions without a centre, then draw again".
pub(crate) const LONG: u32 = COLUMNS as u32 - 1;
/// The weight of a column, of 2^32 in all.
const CAPACITY: u32 = 1 << (32 - COLUMN_BITS);

/// One entry per column: its threshold in the high 22 bits, the other gap in the low 10.
pub(crate) type Table = [u32; COLUMNS];

/// Turns 32 random bits into a gap.
#[inline(always)]
pub(crate) fn gap(table: &Table, draw: u32) -> u32 {
    let column = draw % COLUMNS as u32;
    let entry = table[column as usize];
    if draw >> COLUMN_BITS < entry >> COLUMN_BITS { column } else { entry % COLUMNS as u32 }
}

/// Builds the table, and replaces gamma by the one that it realises: the long-run rate of centres,
/// `(1 - S[LONG]) / (S[0] + .. + S[LONG - 1])` for the survival function `S` as rounded to 32 bits.
///
/// The table is never borrowed and is all that is returned, so that compilers build it in its place
/// in the plan: it is most of a small machine's stack.
#[inline(never)]
pub(crate) const fn build(gamma: &mut u64) -> Table {
    const WHOLE: u64 = 1 << 32;
    let mut table = [0; COLUMNS];
    let mut large = [0u32; COLUMNS / 32];

    // Weights S[j] - S[j + 1] of the gaps, and of the long rest.
    let q = ONE - *gamma;
    let (mut power, mut survival, mut sum) = (ONE, WHOLE, 0);
    let mut j = 0;
    while j < COLUMNS {
        power = mul(power, q);
        let next = if j == COLUMNS - 1 {
            0
        } else {
            sum += survival;
            (power + (1 << 30)) >> 31
        };
        let weight = survival - next;
        if weight == WHOLE {
            // A single gap has all the weight, which no entry can hold: every column is its.
            let mut column = 0;
            while column < COLUMNS {
                table[column] = j as u32;
                column += 1;
            }
            *gamma = if j == 0 { ONE } else { 0 };
            return table;
        }
        table[j] = weight as u32;
        if weight >= CAPACITY as u64 {
            large[j / 32] |= 1 << (j % 32);
        }
        survival = next;
        j += 1;
    }
    // `survival` ended at 0; the last weight is S[LONG].
    *gamma = ((((WHOLE - table[COLUMNS - 1] as u64) as u128) << 63) / sum as u128) as u64;

    // Fill each column that is too small from the next one that is large; one that becomes too
    // small by that is filled at once. No list is kept: two cursors run upwards.
    let mut small_cursor = next_column(&large, 0, 0);
    let mut from = next_column(&large, 0, 1);
    let mut fill = small_cursor;
    while fill < COLUMNS && from < COLUMNS {
        let weight = table[fill];
        table[fill] = weight << COLUMN_BITS | from as u32;
        table[from] -= CAPACITY - weight;
        if table[from] < CAPACITY {
            fill = from;
            from = next_column(&large, from + 1, 1);
        } else {
            small_cursor = next_column(&large, small_cursor + 1, 0);
            fill = small_cursor;
        }
    }
    // What is left is exactly full and belongs to its own gap.
    while from < COLUMNS {
        table[from] = from as u32;
        from = next_column(&large, from + 1, 1);
    }
    table
}

/// The first column at or after `from` that began large (`kind` 1) or small (`kind` 0).
const fn next_column(large: &[u32; COLUMNS / 32], from: usize, kind: u32) -> usize {
    let mut j = from;
    while j < COLUMNS && (large[j / 32] >> (j % 32)) & 1 != kind {
        j += 1;
    }
    j
}
