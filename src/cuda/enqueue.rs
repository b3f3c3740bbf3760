//! What a pass enqueues: launches that draw a mask, that make scales, that apply.

use core::mem::size_of;

use crate::{Fill, Key};

use super::apply::{Addresses, apply};
use super::buffer::check_apart;
use super::drawing::{At, Blocks};
use super::driver::{Region, Work};
use super::geometry::Change;
use super::launch::launch;
use super::layer::Workspace;
use super::params::{Call, Count, Kind, Scales};
use super::{Error, Pass, Slice, SliceMut};

/// The tensor of one pass: it is changed in place where both are the same.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) x: Region<'a>,
    pub(super) y: Region<'a>,
    pub(super) kind: Kind,
}

/// Counts of an operation.
#[derive(Clone, Copy)]
pub(super) enum Counts<'a> {
    /// Nobody wants them.
    None,
    /// They are made, for the scale, and for the caller if he has given memory.
    Made(Option<Region<'a>>),
    /// The scale follows from these.
    Known(Region<'a>),
}

impl<'a> Pass<'a> {
    pub(super) fn forward_pair(
        &self,
        key: Key,
        pair: Pair<'_>,
        counts: Option<SliceMut<'_, u64>>,
    ) -> Result<(), Error> {
        let counts = self.check_counts_mut(counts)?;
        apart(counts, &[pair.x, pair.y])?;
        self.plan().source(key)?;
        let work = self.begin()?;
        let noise = self.plan().layer().fill == Fill::Noise;
        let change = Change { value: (!noise).then_some(0), keep: false };
        if self.plan().drops_nothing() {
            clear(&work, counts)?;
        }
        let wanted = self.is_counted() || counts.is_some();
        let counts = if wanted { Counts::Made(counts) } else { Counts::None };
        self.draw_and_apply(&work, key, pair, counts, change)
    }

    pub(super) fn backward_pair(
        &self,
        key: Key,
        pair: Pair<'_>,
        counts: Option<Slice<'_, u64>>,
    ) -> Result<(), Error> {
        let counts = self.check_known_counts(counts, pair.y)?;
        self.plan().source(key)?;
        let counts = counts.filter(|_| self.is_counted());
        let counts = counts.map_or(Counts::None, Counts::Known);
        let change = Change { value: Some(0), keep: false };
        self.draw_and_apply(&self.begin()?, key, pair, counts, change)
    }

    pub(super) fn apply_pair(
        &self,
        mask: Slice<'_, u64>,
        counts: Option<Slice<'_, u64>>,
        pair: Pair<'_>,
    ) -> Result<(), Error> {
        let words = self.check_mask(mask.region(), mask.len())?;
        let counts = self.check_known_counts(counts, pair.y)?;
        check_apart(words, pair.y)?;
        let work = self.begin()?;
        let counts = counts.filter(|_| self.is_counted());
        let scales = counts
            .map(|counts| self.scales(&work, (counts.address(), false), None, Some(pair.kind)));
        let scales = scales.transpose()?.flatten();
        let scales = scales.unwrap_or_else(|| self.known_scales(pair.kind));
        let change = Change { value: Some(0), keep: false };
        self.apply_words(&work, Key::new(0), words, scales, pair, change)
    }

    pub(super) fn draw_and_apply(
        &self,
        work: &Work<'_>,
        key: Key,
        pair: Pair<'_>,
        counts: Counts<'_>,
        change: Change,
    ) -> Result<(), Error> {
        let mask = self.own_mask();
        if !self.plan().drops_nothing() {
            let scales = self.draw_to(work, key, mask, counts, Some(pair.kind))?;
            let scales = scales.unwrap_or_else(|| self.known_scales(pair.kind));
            return self.apply_words(work, key, mask, scales, pair, change);
        }
        let scales = self.known_scales(pair.kind);
        let one = if pair.kind == Kind::F64 { 1_f64.to_bits() } else { 1_f32.to_bits().into() };
        // Where nothing is dropped the scales of all positions are 1 as well.
        if scales.kind == 2 || scales.same == one {
            if pair.x.address() == pair.y.address() {
                return Ok(());
            }
            // Between the elements of a view nothing may be touched.
            if self.layer.extent() == self.plan().elements() {
                return work.copy(pair.x, pair.y);
            }
        }
        work.clear(mask)?;
        self.apply_words(work, key, mask, scales, pair, change)
    }

    pub(super) fn apply_words(
        &self,
        work: &Work<'_>,
        key: Key,
        words: Region<'_>,
        scales: Scales,
        pair: Pair<'_>,
        change: Change,
    ) -> Result<(), Error> {
        let at = addresses(pair.x, pair.y, words);
        apply(work, &self.layer.tensors, (key, self.step()), pair.kind, at, scales, change)
    }

    /// Writes a mask, counts it, and returns the scales for elements of a kind, if one is given and they
    /// follow from counts.
    pub(super) fn draw_to(
        &self,
        work: &Work<'_>,
        key: Key,
        words: Region<'_>,
        counts: Counts<'_>,
        kind: Option<Kind>,
    ) -> Result<Option<Scales>, Error> {
        let workspace = self.workspace();
        let kind = kind.filter(|_| self.is_counted());
        let blocks = Blocks::of(self.plan());
        let mut count = Count { units: self.plan().units() as u64, ..Count::default() };
        if self.plan().groups() > 1 {
            // These are added up in the workspace, and then moved.
            count.groups = if let Counts::Made(_) = counts { workspace.counts } else { 0 };
            self.generate(work, key, &blocks, words, &count)?;
            return match counts {
                Counts::None => Ok(None),
                Counts::Made(to) => self.scales(work, (workspace.counts, true), to, kind),
                Counts::Known(known) => self.scales(work, (known.address(), false), None, kind),
            };
        }
        match counts {
            Counts::None => {}
            Counts::Made(to) => {
                count.state = workspace.state;
                count.total = to.map_or(workspace.total, |to| to.address());
            }
            Counts::Known(known) => count.known = known.address(),
        }
        if kind.is_some() {
            count.scales = workspace.scale;
        }
        self.generate(work, key, &blocks, words, &count)?;
        Ok(kind.map(|kind| one_scale(&workspace, kind)))
    }

    /// Makes the scales of elements of a kind from the counts of groups, if one is given. Counts that are
    /// moved are 0 afterwards, whether somebody wants them or not.
    pub(super) fn scales(
        &self,
        work: &Work<'_>,
        (counts, moved): (u64, bool),
        to: Option<Region<'_>>,
        kind: Option<Kind>,
    ) -> Result<Option<Scales>, Error> {
        let (workspace, groups) = (self.workspace(), self.plan().groups());
        let scales = kind.map(|kind| match groups {
            1 => one_scale(&workspace, kind),
            _ => Scales::by_group(workspace.scales),
        });
        let call = Call::Scales {
            counts,
            moved: address(to),
            reset: u64::from(moved),
            groups: groups as u64,
            units: self.layer.tensors.group() as u64,
            scales: scales.map_or(0, |scales| scales.from),
            kind: kind.map_or(0, |kind| if kind == Kind::F64 { 2 } else { 1 }),
        };
        launch(work, &call, groups.div_ceil(256))?;
        Ok(scales)
    }

    /// Writes a mask and counts it.
    pub(super) fn generate(
        &self,
        work: &Work<'_>,
        key: Key,
        blocks: &Blocks,
        words: Region<'_>,
        count: &Count,
    ) -> Result<(), Error> {
        let table = self.layer.table();
        let at = At { key, step: self.step(), table, words: words.address() };
        self.layer.drawing.draw(work, self.plan(), blocks, &at, count)
    }

    /// Whether the scale follows from how much the mask drops.
    pub(super) const fn is_counted(&self) -> bool {
        self.layer.tensors.is_counted() && self.sum.is_none()
    }

    /// The scales where they do not follow from the mask.
    fn known_scales(&self, kind: Kind) -> Scales {
        self.layer.known_scales(kind, self.sum.unwrap_or(self.plan().count_of(0)))
    }

    pub(super) fn begin(&self) -> Result<Work<'a>, Error> {
        self.stream.inner().begin()
    }

    pub(super) const fn plan(&self) -> &'a crate::Plan {
        self.layer.plan()
    }

    pub(super) fn step(&self) -> u64 {
        address(self.step)
    }

    pub(super) fn workspace(&self) -> Workspace {
        Workspace::new(self.plan(), self.workspace)
    }

    pub(super) fn own_mask(&self) -> Region<'a> {
        let start = (self.workspace().mask - self.workspace.address()) as usize;
        let bytes = self.plan().mask_words() * size_of::<u64>();
        // The workspace is as long as it must be.
        self.workspace.part(start, bytes).unwrap_or(self.workspace)
    }
}

pub(super) fn clear(work: &Work<'_>, region: Option<Region<'_>>) -> Result<(), Error> {
    region.map_or(Ok(()), |region| work.clear(region))
}

/// The scale of the whole tensor, which a count has left in the workspace.
pub(super) const fn one_scale(workspace: &Workspace, kind: Kind) -> Scales {
    let wide = matches!(kind, Kind::F64);
    Scales::one(workspace.scale + if wide { size_of::<f64>() as u64 } else { 0 })
}

pub(super) fn addresses(x: Region<'_>, y: Region<'_>, words: Region<'_>) -> Addresses {
    Addresses { x: x.address(), y: y.address(), words: words.address() }
}

pub(super) fn address(region: Option<Region<'_>>) -> u64 {
    region.map_or(0, |region| region.address())
}

/// Refuses written counts that share bytes with any of the regions.
pub(super) fn apart(counts: Option<Region<'_>>, regions: &[Region<'_>]) -> Result<(), Error> {
    let Some(counts) = counts else { return Ok(()) };
    regions.iter().try_for_each(|&region| check_apart(counts, region))
}
