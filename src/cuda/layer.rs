//! A plan on a device: what the kernels need beside the tensors, taken once.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::size_of;

use crate::element::arithmetic::Ratio;
use crate::plan::scale::Rule;
use crate::{DropCount, Element, Plan};

use super::buffer::check;
use super::drawing::{Drawing, check_plane};
use super::driver::Region;
use super::geometry::Tensors;
use super::launch::{Cut, launch};
use super::params::{Call, Kind, STORED, Scales};
use super::{Buffer, Error, Pass, Slice, SliceMut, Stream};

/// Groups of this many units and more are refused, as their quotients would not be exact.
const MAX_GROUP: u64 = 1 << 53;
/// The words of a workspace before all others: the state of the count, the count, and the scale in
/// `f32` and in `f64`.
const STATE: usize = 4;

/// A [`Plan`] on a device: the operations of the plan on device memory, bit for bit.
///
/// It holds a copy of the plan and, on the device, what [`device_bytes`](Self::device_bytes) says: the
/// 4 KiB table of the plan; the scales of all positions of the map in `f32` and `f64` under
/// [`Scale::PerPosition`](crate::Scale::PerPosition); and a workspace: a mask between two kernels, and
/// counts. A [`Pass`] has the operations: [`pass`](Self::pass) on the stream and the workspace that the
/// layer was made with, [`on`](Self::on) on others. So threads and streams can share a layer.
///
/// # Examples
///
/// ```no_run
/// use dropblock::cuda::{Device, Layer};
/// use dropblock::{DropBlock, Key, Shape};
///
/// let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(32, 256, 14, 14))?;
/// let device = Device::new(0)?;
/// let stream = device.stream()?;
/// let layer = Layer::new(&plan, &stream)?;
/// let mut x = device.upload(&vec![1.0_f32; plan.elements()])?;
/// let mut dy = device.upload(&vec![1.0_f32; plan.elements()])?;
/// let mut counts = device.zeros::<u64>(plan.groups())?;
///
/// let key = Key::new(2024).with_step(17).with_layer(3);
/// layer.pass().forward_in_place(key, x.slice_mut(), Some(counts.slice_mut()))?;
/// layer.pass().backward_in_place(key, Some(counts.slice()), dy.slice_mut())?;
///
/// let mut y = vec![0.0; plan.elements()];
/// stream.download(x.slice(), &mut y)?;
/// println!("{:.3} of it is dropped", layer.drop_count(counts.slice())?.fraction());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Layer {
    pub(super) tensors: Tensors,
    pub(super) drawing: Box<Drawing>,
    stream: Stream,
    cut: Cut,
    table: Buffer<u32>,
    scales_f32: Buffer<f32>,
    scales_f64: Buffer<f64>,
    workspace: Buffer<u64>,
}

impl Layer {
    /// Takes the device memory that the plan's operations need, and waits until it is filled.
    ///
    /// # Errors
    ///
    /// [`Error::Map`] if a map has 2^30 units or more, [`Error::TooLarge`] if a group from whose count a
    /// scale follows has 2^53 units or more, [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn new(plan: &Plan, stream: &Stream) -> Result<Self, Error> {
        let device = stream.device();
        let tensors = Tensors::new(plan);
        let group_units = tensors.group() as u64;
        if tensors.is_counted() && group_units >= MAX_GROUP {
            return Err(Error::TooLarge { limit: MAX_GROUP, given: group_units });
        }
        check_plane(plan.geometry.plane)?;
        let cut = Cut::default();
        Ok(Self {
            tensors,
            drawing: Box::new(Drawing::new(plan, cut, stream)),
            stream: stream.clone(),
            cut,
            table: device.upload(&plan.sampler.table)?,
            scales_f32: device.upload(&position_scales(plan))?,
            scales_f64: device.upload(&position_scales(plan))?,
            workspace: device.zeros(workspace_words(plan))?,
        })
    }

    /// Sets the number of units that a block of threads draws at a time. If not set it is chosen from the
    /// number of units and of multiprocessors, from 2048 to 65536. No result depends on it.
    ///
    /// # Errors
    ///
    /// [`Error::Tile`] unless it is a multiple of 64 from 64 to 65536.
    #[inline]
    pub fn with_tile(mut self, units: usize) -> Result<Self, Error> {
        self.cut = self.cut.with_tile(units)?;
        *self.drawing = Drawing::new(self.plan(), self.cut, &self.stream);
        Ok(self)
    }

    /// Sets the number of threads that share 4096 positions. For blocks of one unit it is rounded down to
    /// a power of two. If not set it is chosen from the number of centres. No result depends on it.
    ///
    /// # Errors
    ///
    /// [`Error::Lanes`] unless it is from 1 to 32.
    #[inline]
    pub fn with_lanes(mut self, lanes: u32) -> Result<Self, Error> {
        self.cut = self.cut.with_lanes(lanes)?;
        *self.drawing = Drawing::new(self.plan(), self.cut, &self.stream);
        Ok(self)
    }

    /// Makes the tensors of all operations views with strides of their own: of samples, channels,
    /// depth, height and width, in elements. Buffers then hold [`extent`](Self::extent) elements
    /// from the view's first on; those that are not part of the view are neither read nor written.
    ///
    /// # Errors
    ///
    /// [`crate::Error::TooLarge`], [`crate::Error::Stride`] if two units could share an element.
    pub fn with_strides(mut self, strides: [usize; 5]) -> Result<Self, Error> {
        self.tensors = self.tensors.with_strides(strides)?;
        Ok(self)
    }

    /// Takes another plan, as a schedule needs: with the same shape, sharing and kind of scale. It
    /// enqueues launches that bring the table, and neither takes memory nor waits. Work that is enqueued
    /// on other streams must be done with the layer.
    ///
    /// # Errors
    ///
    /// [`Error::OtherPlan`], [`Error::Driver`].
    pub fn set_plan(&mut self, plan: &Plan, stream: &Stream) -> Result<(), Error> {
        let (old, new) = (self.plan().layer(), plan.layer());
        let kinds = |plan: &Plan| (matches!(plan.rule, Rule::PerPosition), plan.groups());
        if self.plan().shape() != plan.shape()
            || old.sharing() != new.sharing()
            || old.scale() != new.scale()
            || kinds(self.plan()) != kinds(plan)
        {
            return Err(Error::OtherPlan);
        }
        check(self.table.slice().region(), 4, stream.inner().context().facts().ordinal)?;
        store(stream, self.table.address(), &plan.sampler.table)?;
        if !self.scales_f32.is_empty() {
            store(stream, self.scales_f32.address(), &words(&position_scales::<f32>(plan)))?;
            store(stream, self.scales_f64.address(), &words(&position_scales::<f64>(plan)))?;
        }
        self.tensors.plan = *plan;
        *self.drawing = Drawing::new(plan, self.cut, stream);
        Ok(())
    }

    /// Returns the operations on the layer's own stream and workspace.
    #[inline]
    #[must_use]
    pub fn pass(&self) -> Pass<'_> {
        Pass::new(self, &self.stream, self.workspace.slice().region())
    }

    /// Returns the operations on another stream of the same device, such as the current one of a
    /// framework.
    ///
    /// * `workspace`: [`workspace_words`](Self::workspace_words) words. All must be 0 when they are used
    ///   for the first time; afterwards they are as operations leave them. Work on two streams that may
    ///   run at a time takes two.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`], [`Error::Null`], [`Error::Misaligned`], [`Error::OtherDevice`].
    pub fn on<'a>(
        &'a self,
        stream: &'a Stream,
        workspace: SliceMut<'a, u64>,
    ) -> Result<Pass<'a>, Error> {
        let (needed, given) = (self.workspace_words(), workspace.len());
        let buffer = crate::Buffer::Workspace;
        if given < needed {
            return Err(crate::Error::Length { buffer, needed, given }.into());
        }
        let device = stream.inner().context().facts().ordinal;
        check(workspace.region(), size_of::<u64>(), device)?;
        check(self.table.slice().region(), size_of::<u32>(), device)?;
        Ok(Pass::new(self, stream, workspace.region()))
    }

    /// Returns the number of 64-bit words that [`on`](Self::on) needs.
    #[inline]
    #[must_use]
    pub const fn workspace_words(&self) -> usize {
        workspace_words(self.plan())
    }

    /// Returns the plan.
    #[inline]
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.tensors.plan
    }

    /// Returns the number of elements of a tensor's buffer: from the first to the last.
    #[inline]
    #[must_use]
    pub const fn extent(&self) -> usize {
        self.tensors.extent
    }

    /// Returns the stream that it was made with.
    #[inline]
    #[must_use]
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Returns the number of bytes that the layer has on the device.
    #[inline]
    #[must_use]
    pub const fn device_bytes(&self) -> usize {
        self.table.len() * size_of::<u32>()
            + (self.workspace.len() + self.scales_f64.len()) * size_of::<u64>()
            + self.scales_f32.len() * size_of::<f32>()
    }

    /// Waits for the stream and returns how many units are dropped in all groups together. For
    /// one group download its count.
    ///
    /// * `counts`: [`Plan::groups`] words, as the forward pass has written them.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use dropblock::cuda::{Device, Error, Layer};
    /// # use dropblock::{DropBlock, Key, Shape};
    /// # let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(32, 256, 14, 14))?;
    /// # let device = Device::new(0)?;
    /// # let layer = Layer::new(&plan, &device.stream()?)?;
    /// let mut x = device.zeros::<i8>(plan.elements())?;
    /// let mut counts = device.zeros::<u64>(plan.groups())?;
    /// layer.pass().drop_only(Key::new(1), x.slice_mut(), 3, Some(counts.slice_mut()))?;
    /// let scale = plan.scale::<f32>(layer.drop_count(counts.slice())?);
    /// # let _ = scale;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`], [`Error::Null`], [`Error::Misaligned`], [`Error::OtherDevice`],
    /// [`Error::Driver`], also for work that failed.
    pub fn drop_count(&self, counts: Slice<'_, u64>) -> Result<DropCount, Error> {
        self.pass().check_counts(counts.region(), counts.len())?;
        let mut host = vec![0; counts.len()];
        self.stream.download(counts, &mut host)?;
        Ok(self.plan().count_of(host.iter().sum()))
    }

    pub(super) fn table(&self) -> u64 {
        self.table.address()
    }

    /// The scales of a count that the host knows.
    pub(super) fn known_scales(&self, kind: Kind, count: DropCount) -> Scales {
        let plan = self.plan();
        match (plan.rule, kind) {
            (Rule::PerPosition, Kind::F64) => Scales::by_position(self.scales_f64.address()),
            (Rule::PerPosition, _) => Scales::by_position(self.scales_f32.address()),
            (_, Kind::F64) => Scales::same(plan.scale::<f64>(count).to_bits()),
            _ => Scales::same(plan.scale::<f32>(count).to_bits().into()),
        }
    }
}

/// The parts of a workspace, as addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workspace {
    /// Zero between launches.
    pub(super) state: u64,
    pub(super) total: u64,
    /// A float and a double.
    pub(super) scale: u64,
    /// Counts by group, zero between operations, and scales by group, if there are several groups.
    pub(super) counts: u64,
    pub(super) scales: u64,
    pub(super) mask: u64,
}

impl Workspace {
    pub(super) fn new(plan: &Plan, region: Region<'_>) -> Self {
        let at = |words: usize| region.address() + (words * size_of::<u64>()) as u64;
        let groups = grouped(plan);
        Self {
            state: at(0),
            total: at(1),
            scale: at(2),
            counts: at(STATE),
            scales: at(STATE + groups),
            mask: at(STATE + 2 * groups),
        }
    }
}

const fn grouped(plan: &Plan) -> usize {
    if plan.groups() > 1 { plan.groups() } else { 0 }
}

const fn workspace_words(plan: &Plan) -> usize {
    STATE + 2 * grouped(plan) + plan.mask_words()
}

/// The scales of all positions of the map, if there are such.
fn position_scales<T: Element<Scale = T> + Ratio>(plan: &Plan) -> Vec<T> {
    let by_position = matches!(plan.rule, Rule::PerPosition) && plan.elements() > 0;
    let mut scales = vec![T::ZERO; if by_position { plan.geometry.plane } else { 0 }];
    plan.sampler.position_scales(0, &mut scales);
    scales
}

fn words<T: bytemuck::Pod>(values: &[T]) -> Vec<u32> {
    let bytes = bytemuck::cast_slice::<T, u8>(values).as_chunks().0;
    bytes.iter().map(|&bytes| u32::from_ne_bytes(bytes)).collect()
}

/// Enqueues launches that bring words to the device. So no memory of the host has to stay.
fn store(stream: &Stream, to: u64, words: &[u32]) -> Result<(), Error> {
    let work = stream.inner().begin()?;
    for (i, part) in words.chunks(STORED).enumerate() {
        let mut values = [0; STORED];
        values.iter_mut().zip(part).for_each(|(value, &word)| *value = word);
        let to = to + (i * STORED * size_of::<u32>()) as u64;
        launch(&work, &Call::Store { to, count: part.len() as u64, values: &values }, 1)?;
    }
    Ok(())
}
