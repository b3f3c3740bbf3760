//! Masks that are at hand: drawn or of the caller's own, counted, and shown map by map.
//!
//! The struct of the caller is not believed: its words are counted again for each pass, and its
//! count is checked against them.

use core::ffi::c_void;
use core::ops::Range;

use engine::{Drawn, DropCount, Error, Keep, Key, Mask, Plan, Sharing};

use crate::constants::*;
use crate::memory::Caller;
use crate::passes::put;
use crate::status::{Refusal, interface, listed, must_be};
use crate::types::*;

const WORD_BITS: usize = u64::BITS as usize;

/// The words that a visitor is shown at a time: the crate's parts have no more.
const KEEP: usize = 256;

impl dropblock_mask {
    /// What is kept of a mask, whose words lie here.
    fn new(mask: &Mask<'_>, words: *const u64, words_len: usize) -> Self {
        let bare = Drawn::from(Key::new(0)).with_count(mask.count());
        Self {
            words,
            words_len,
            drawn: mask.drawn().unwrap_or(bare).into(),
            has_key: mask.drawn().is_some().into(),
            reserved: 0,
        }
    }
}

/// The words of a struct, and what else it says.
fn words<'c>(
    caller: &mut Caller<'c>,
    plan: &Plan,
    mask: *const dropblock_mask,
) -> Result<(&'c [u64], dropblock_mask), Refusal> {
    let mask = caller.copy(mask, DROPBLOCK_ARGUMENT_MASK)?;
    must_be(0, DROPBLOCK_ARGUMENT_RESERVED, mask.reserved)?;
    Ok((caller.words(plan, mask.words, mask.words_len)?, mask))
}

/// The crate's mask, made again from its words.
pub(crate) fn mask<'c>(
    caller: &mut Caller<'c>,
    plan: &'c Plan,
    mask: *const dropblock_mask,
) -> Result<Mask<'c>, Refusal> {
    let (words, given) = words(caller, plan, mask)?;
    let mut mask = plan.mask_from(words)?;
    let drawn = given.drawn.get();
    if let Some(count) = drawn.count() {
        mask = mask.with_count(count)?;
    }
    if listed(DROPBLOCK_ARGUMENT_HAS_KEY, given.has_key, &[(0, false), (1, true)])? {
        mask = mask.with_key(drawn.key())?;
    }
    Ok(mask)
}

interface! {
    /// Draws a mask: stages 1 and 2.
    fn dropblock_draw(
        caller, plan: *const dropblock_plan, key: *const dropblock_key, words: *mut u64,
        words_len: usize, mask: *mut dropblock_mask
    ) {
        let plan = caller.plan(plan)?;
        let key = caller.copy(key, DROPBLOCK_ARGUMENT_KEY)?.get();
        let place = caller.result(mask, DROPBLOCK_ARGUMENT_MASK)?;
        let drawn = plan.draw(key, caller.words_mut(plan, words, words_len)?)?;
        place.write(dropblock_mask::new(&drawn, words, words_len));
    }
}

interface! {
    /// A mask of the caller's own.
    fn dropblock_mask_from(
        caller, plan: *const dropblock_plan, words: *const u64, words_len: usize,
        mask: *mut dropblock_mask
    ) {
        let plan = caller.plan(plan)?;
        let place = caller.result(mask, DROPBLOCK_ARGUMENT_MASK)?;
        let from = plan.mask_from(caller.words(plan, words, words_len)?)?;
        place.write(dropblock_mask::new(&from, words, words_len));
    }
}

/// Changes what a mask says besides its words.
fn change(
    caller: &mut Caller<'_>,
    plan: *const dropblock_plan,
    mask: *mut dropblock_mask,
    change: impl FnOnce(Mask<'_>) -> Result<Mask<'_>, Error>,
) -> Result<(), Refusal> {
    let plan = caller.plan(plan)?;
    let dropblock_mask { words, words_len, .. } = caller.copy(mask, DROPBLOCK_ARGUMENT_MASK)?;
    let changed = change(self::mask(caller, plan, mask)?)?;
    let place = caller.result(mask, DROPBLOCK_ARGUMENT_MASK)?;
    place.write(dropblock_mask::new(&changed, words, words_len));
    Ok(())
}

interface! {
    /// Sets the count from which the scale of the tensor follows.
    fn dropblock_mask_with_count(
        caller, plan: *const dropblock_plan, mask: *mut dropblock_mask,
        count: *const dropblock_drop_count
    ) {
        let count = caller.copy(count, DROPBLOCK_ARGUMENT_COUNT)?;
        change(caller, plan, mask, |mask| mask.with_count(count.into()))?;
    }
}

interface! {
    /// Sets the key from which noise is drawn.
    fn dropblock_mask_with_key(
        caller, plan: *const dropblock_plan, mask: *mut dropblock_mask,
        key: *const dropblock_key
    ) {
        let key = caller.copy(key, DROPBLOCK_ARGUMENT_KEY)?;
        change(caller, plan, mask, |mask| mask.with_key(key.get()))?;
    }
}

interface! {
    /// Counts the dropped units of one scale group.
    fn dropblock_mask_count_group(
        caller, plan: *const dropblock_plan, mask: *const dropblock_mask, group: usize,
        count: *mut dropblock_drop_count
    ) {
        let plan = caller.plan(plan)?;
        let (words, _) = words(caller, plan, mask)?;
        let place = caller.result(count, DROPBLOCK_ARGUMENT_COUNT)?;
        let groups = plan.groups();
        if group >= groups {
            return Err(Error::Group { groups, given: group }.into());
        }
        // Not by `mask_from`, which counts the whole mask.
        let units = plan.units() / groups;
        let keep = Keep::new(words, group * units..(group + 1) * units)?;
        let ones = |unit| u64::from(keep.word(unit).count_ones());
        let kept: u64 = (0..units).step_by(WORD_BITS).map(ones).sum();
        let total = units as u64;
        place.write(DropCount { dropped: total - kept, total }.into());
    }
}

/// The units of the mask that a map of the tensor has.
fn units(plan: &Plan, sample: usize, channel: usize) -> Result<Range<usize>, Error> {
    let shape = plan.shape();
    let (samples, channels) = (shape.samples(), shape.channels());
    if sample >= samples || channel >= channels {
        return Err(Error::Map { needed: [samples, channels], given: [sample, channel] });
    }
    let map = match plan.layer().sharing() {
        Sharing::None => sample * channels + channel,
        Sharing::OverChannels => sample,
        Sharing::OverSamples => channel,
        Sharing::OverAll => 0,
    };
    let len = shape.map().len()?;
    Ok(map * len..(map + 1) * len)
}

interface! {
    /// Writes keep words of one map.
    fn dropblock_mask_keep_words(
        caller, plan: *const dropblock_plan, mask: *const dropblock_mask, sample: usize,
        channel: usize, position: usize, keep: *mut u64, keep_len: usize
    ) {
        let plan = caller.plan(plan)?;
        let (words, _) = words(caller, plan, mask)?;
        let to = caller.write(keep, keep_len, DROPBLOCK_ARGUMENT_KEEP)?;
        copy_keep(&Keep::new(words, units(plan, sample, channel)?)?, position, to);
    }
}

/// Writes the words from a unit on.
fn copy_keep(keep: &Keep<'_>, mut unit: usize, to: &mut [u64]) {
    for word in to {
        *word = keep.word(unit);
        unit = unit.saturating_add(WORD_BITS);
    }
}

interface! {
    /// Draws the mask without a buffer and shows it map by map.
    fn dropblock_for_each_map(
        caller, plan: *const dropblock_plan, drawn: *const dropblock_drawn,
        visit: Option<dropblock_visit>, context: *mut c_void, result: *mut dropblock_drawn
    ) {
        let plan = caller.plan(plan)?;
        let drawn = caller.copy(drawn, DROPBLOCK_ARGUMENT_DRAWN)?.get();
        let null = Refusal::new(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_CALLBACK);
        let visit = visit.ok_or(null)?;
        let result = caller.result_or_none(result, DROPBLOCK_ARGUMENT_RESULT)?;
        let mut words = [0; KEEP];
        let drawn = plan.for_each_map(drawn, |map| {
            let len = map.keep().len();
            let keep_len = len.div_ceil(WORD_BITS).min(KEEP);
            copy_keep(&map.keep(), 0, words.get_mut(..keep_len).unwrap_or_default());
            let part = dropblock_map_part {
                sample: map.sample(),
                channel: map.channel(),
                position: map.positions().start,
                len,
                keep: words.as_ptr(),
                keep_len,
                scale_f64: map.scale::<f64>(),
                scale_f32: map.scale::<f32>(),
                reserved: 0,
            };
            // SAFETY: the caller vouches for the function.
            unsafe { visit(context, &raw const part) };
        })?;
        put(result, drawn);
    }
}
