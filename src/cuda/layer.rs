//! A plan on a stream: what the kernels need beside the tensors, taken once.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::size_of;

use crate::plan::scale::Rule;
use crate::{DropCount, Plan};

use super::driver::Region;
use super::geometry::Tensors;
use super::launch::Cut;
use super::params::{Kind, Scales};
use super::{Buffer, Error, Slice, Stream};

/// Groups of this many units and more are refused, as their quotients would not be exact.
const MAX_GROUP: u64 = 1 << 53;

/// A [`Plan`] on a [`Stream`]: the operations of the plan on device memory, bit for bit.
///
/// It holds a copy of the plan and, on the device, what [`device_bytes`](Self::device_bytes) says:
/// the 4 KiB table of the plan; a mask, if the pass needs one between two kernels; the counts of
/// the scale groups, if the scale follows from them; the scales of all positions of the map in
/// `f32` and `f64` under [`Scale::PerPosition`](crate::Scale::PerPosition).
///
/// Operations check their arguments, enqueue their kernels and return: they neither take memory nor
/// wait. On an error of the arguments nothing has been enqueued. Errors of the work itself show
/// when something waits, as [`Stream::synchronize`] or [`Stream::download`] does.
///
/// Tensors and masks have the lengths of the plan's operations, in elements and 64-bit words, and
/// the same layouts. Words on the device are those of the host.
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
/// let mut layer = Layer::new(&plan, &stream)?;
/// let mut x = device.upload(&vec![1.0_f32; plan.elements()])?;
/// let mut dy = device.upload(&vec![1.0_f32; plan.elements()])?;
/// let mut counts = device.zeros::<u64>(plan.groups())?;
///
/// let key = Key::new(2024).with_step(17).with_layer(3);
/// layer.forward_in_place(key, x.slice_mut(), Some(counts.slice_mut()))?;
/// layer.backward_in_place(key, Some(counts.slice()), dy.slice_mut())?;
///
/// let mut y = vec![0.0; plan.elements()];
/// stream.download(x.slice(), &mut y)?;
/// println!("{:.3} of it is dropped", layer.drop_count(counts.slice())?.fraction());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Layer {
    pub(super) tensors: Tensors,
    pub(super) stream: Stream,
    pub(super) cut: Cut,
    table: Buffer<u32>,
    /// Empty where no pass needs it.
    mask: Buffer<u64>,
    counts: Buffer<u64>,
    scales_f32: Buffer<f32>,
    scales_f64: Buffer<f64>,
}

impl Layer {
    /// Takes the device memory that the plan's operations need, and waits until it is filled.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if a group from whose count a scale follows has 2^53 units or more,
    /// [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn new(plan: &Plan, stream: &Stream) -> Result<Self, Error> {
        let device = stream.device();
        let tensors = Tensors::new(plan);
        let counted = tensors.is_counted();
        let group_units = plan.geometry.group_units() as u64;
        if counted && group_units >= MAX_GROUP {
            return Err(Error::TooLarge { limit: MAX_GROUP, given: group_units });
        }
        let mask = if counted || !tensors.is_fusable() { plan.mask_words() } else { 0 };
        let counts = if counted { plan.groups() } else { 0 };
        let by_position = matches!(plan.rule, Rule::PerPosition) && plan.elements() > 0;
        let positions = if by_position { plan.geometry.plane } else { 0 };
        let (mut scales_f32, mut scales_f64): (Vec<f32>, Vec<f64>) =
            (vec![0.0; positions], vec![0.0; positions]);
        plan.sampler.position_scales(0, &mut scales_f32);
        plan.sampler.position_scales(0, &mut scales_f64);
        Ok(Self {
            tensors,
            stream: stream.clone(),
            cut: Cut::new(stream),
            table: device.upload(&plan.sampler.table)?,
            mask: device.zeros(mask)?,
            counts: device.zeros(counts)?,
            scales_f32: device.upload(&scales_f32)?,
            scales_f64: device.upload(&scales_f64)?,
        })
    }

    /// Sets the number of threads of a block, 256 if not set. No result depends on it.
    ///
    /// # Errors
    ///
    /// [`Error::Threads`] unless it is from 1 to [`Device::max_threads`](super::Device::max_threads).
    #[inline]
    pub fn with_threads(mut self, threads: u32) -> Result<Self, Error> {
        self.cut = self.cut.with_threads(&self.stream, threads)?;
        Ok(self)
    }

    /// Sets the number of units that a block of threads works on at a time. If not set it is chosen
    /// from the number of units and of multiprocessors, from 4096 to 32768. No result depends on
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::Tile`] unless it is a multiple of 64 from 64 to 65536.
    #[inline]
    pub fn with_tile(mut self, units: usize) -> Result<Self, Error> {
        self.cut = self.cut.with_tile(units)?;
        Ok(self)
    }

    /// Makes the tensors of all operations views with strides of their own: of samples, channels,
    /// depth, height and width, in elements. Buffers then hold [`extent`](Self::extent) elements
    /// from the view's first on; those that are not part of the view are neither read nor written.
    ///
    /// # Errors
    ///
    /// [`crate::Error::TooLarge`], [`crate::Error::Stride`] if two units could share an element;
    /// [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn with_strides(mut self, strides: [usize; 5]) -> Result<Self, Error> {
        self.tensors = self.tensors.with_strides(strides)?;
        if !self.tensors.is_fusable() && self.mask.is_empty() {
            self.mask = self.stream.device().zeros(self.plan().mask_words())?;
        }
        Ok(self)
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

    /// Returns the stream.
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
            + (self.mask.len() + self.counts.len() + self.scales_f64.len()) * size_of::<u64>()
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
    /// # let mut layer = Layer::new(&plan, &device.stream()?)?;
    /// let mut x = device.zeros::<i8>(plan.elements())?;
    /// let mut counts = device.zeros::<u64>(plan.groups())?;
    /// layer.drop_only(Key::new(1), x.slice_mut(), 3, Some(counts.slice_mut()))?;
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
        self.check_counts(counts.region(), counts.len())?;
        let mut host = vec![0; counts.len()];
        self.stream.download(counts, &mut host)?;
        Ok(self.plan().count_of(host.iter().sum()))
    }

    pub(super) fn table(&self) -> u64 {
        self.table.address()
    }

    /// The layer's own mask, of no bytes where no pass needs it.
    pub(super) fn own_mask(&self) -> Region<'_> {
        self.mask.slice().region()
    }

    /// The layer's own counts, of no bytes where the scale does not follow from them.
    pub(super) fn own_counts(&self) -> Region<'_> {
        self.counts.slice().region()
    }

    /// The scales where they do not follow from counts.
    pub(super) fn known_scales(&self, kind: Kind) -> Scales {
        let plan = self.plan();
        let nothing = plan.count_of(0);
        match (plan.rule, kind) {
            (Rule::PerPosition, Kind::F64) => Scales::by_position(self.scales_f64.address()),
            (Rule::PerPosition, _) => Scales::by_position(self.scales_f32.address()),
            (_, Kind::F64) => Scales::factor(plan.scale::<f64>(nothing)),
            _ => Scales::factor(f64::from(plan.scale::<f32>(nothing))),
        }
    }
}
