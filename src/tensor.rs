//! The caller's tensors: dense ones, and views with strides of their own.

use core::mem::MaybeUninit;

use crate::Error;
use crate::apply::{Stores, Tensor};
use crate::cpu::Level;
use crate::error::Buffer;
use crate::plan::geometry::{Geometry, Rows, check_apart, reach};
use crate::shape::MAX_ELEMENTS;

/// A tensor that a pass reads.
///
/// `&x`, for anything that is a slice of elements, is a dense tensor: it lies in memory as the plan's
/// shape says. [`new`](Self::new) makes a view: a crop, a slice of the channels, padded rows, a flipped
/// or repeated axis, or any order of axes.
///
/// ```
/// use dropblock::{DropBlock, Key, Shape, View, ViewMut};
///
/// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
/// // Rows of 10 padded to 16, read from the last one to the first; one sample for both.
/// let x = vec![1.0_f32; 4 * 10 * 16];
/// let mut y = vec![0.0; 800];
/// let flipped = View::new(&x, 9 * 16, [0, 160, 0, -16, 1]);
/// plan.forward(Key::new(1), flipped, &mut y)?;
/// // Every second element of each row, where it lies.
/// let mut x = vec![1.0_f32; 1600];
/// plan.forward_in_place(Key::new(1), ViewMut::new(&mut x, 0, [800, 200, 0, 20, 2]))?;
/// assert!(y.iter().eq(x.iter().step_by(2)));
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct View<'t, T> {
    data: &'t [T],
    first: usize,
    /// `None` for those of the plan's shape.
    strides: Option<[isize; 5]>,
}

impl<'t, T> View<'t, T> {
    /// A view of `data`. The first unit is element `first`; `strides` are those of samples, channels,
    /// depth, height and width, in elements. A stride of 0 repeats an input. The stride of an axis of
    /// size 1, or of an axis that the map does not have, is ignored.
    ///
    /// The pass refuses a view that leaves `data`. It does not read elements outside the view.
    #[inline]
    #[must_use]
    pub const fn new(data: &'t [T], first: usize, strides: [isize; 5]) -> Self {
        Self { data, first, strides: Some(strides) }
    }
}

impl<'t, T, D: AsRef<[T]> + ?Sized> From<&'t D> for View<'t, T> {
    #[inline]
    fn from(data: &'t D) -> Self {
        Self { data: data.as_ref(), first: 0, strides: None }
    }
}

/// A tensor that a pass writes. See [`View`].
///
/// `&mut y`, for anything that is a slice of elements, is a dense tensor.
///
/// ```
/// use dropblock::{DropBlock, Key, Shape, ViewMut};
///
/// // The inner 10 x 10 positions of maps of 12 x 12, in place.
/// let plan = DropBlock::new(10, 1.0)?.plan(Shape::nchw(2, 4, 10, 10))?;
/// let mut x = vec![1.0_f32; 2 * 4 * 144];
/// plan.forward_in_place(Key::new(1), ViewMut::new(&mut x, 13, [576, 144, 0, 12, 1]))?;
/// assert_eq!(x.iter().filter(|&&x| x == 1.0).count(), 2 * 4 * (144 - 100));
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Debug)]
pub struct ViewMut<'t, T> {
    data: Memory<'t, T>,
    first: usize,
    strides: Option<[isize; 5]>,
}

#[derive(Debug)]
enum Memory<'t, T> {
    Elements(&'t mut [T]),
    Uninit(&'t mut [MaybeUninit<T>]),
}

impl<'t, T> ViewMut<'t, T> {
    /// A view of `data`, as [`View::new`]. The pass also refuses strides that let two units share an
    /// element. It neither reads nor writes elements outside the view.
    #[inline]
    #[must_use]
    pub const fn new(data: &'t mut [T], first: usize, strides: [isize; 5]) -> Self {
        Self { data: Memory::Elements(data), first, strides: Some(strides) }
    }

    /// A dense output in memory that is not initialised, as a framework hands it over. Once the pass
    /// has returned `Ok`, every element is initialised.
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape, ViewMut};
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let x = vec![1.0_f32; plan.elements()];
    /// let mut y = Vec::with_capacity(plan.elements());
    /// let fresh = &mut y.spare_capacity_mut()[..plan.elements()];
    /// plan.forward(Key::new(1), &x, ViewMut::uninit(fresh))?;
    /// // SAFETY: the pass has written every element.
    /// unsafe { y.set_len(plan.elements()) };
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// A pass in place refuses it: [`Error::Uninit`].
    #[inline]
    #[must_use]
    pub const fn uninit(data: &'t mut [MaybeUninit<T>]) -> Self {
        Self { data: Memory::Uninit(data), first: 0, strides: None }
    }
}

impl<'t, T, D: AsMut<[T]> + ?Sized> From<&'t mut D> for ViewMut<'t, T> {
    #[inline]
    fn from(data: &'t mut D) -> Self {
        Self { data: Memory::Elements(data.as_mut()), first: 0, strides: None }
    }
}

/// Where the elements of a view lie in its buffer.
#[derive(Clone, Copy)]
struct Place {
    /// From the first that any unit has to the last.
    start: usize,
    end: usize,
    /// The first unit's, counted from the start.
    origin: usize,
    strides: [isize; 5],
}

impl Place {
    /// Checks that all elements lie in a buffer of this length.
    // Not inlined, so that passes over dense tensors are small.
    #[inline(never)]
    fn new(
        geometry: &Geometry,
        buffer: Buffer,
        len: usize,
        first: usize,
        strides: Option<[isize; 5]>,
    ) -> Result<Self, Error> {
        let Some(strides) = strides else {
            check_dense(geometry, buffer, len)?;
            return Ok(Self { start: 0, end: len, origin: 0, strides: geometry.strides });
        };
        let sizes = geometry.sizes();
        let Some((before, after)) = reach(&sizes, &strides, MAX_ELEMENTS)? else {
            // Those of an empty view may be anything.
            return Ok(Self { start: 0, end: 0, origin: 0, strides: geometry.strides });
        };
        let outside = Error::View { buffer, needed: [before, after], given: [first, len] };
        let start = first.checked_sub(before).ok_or(outside)?;
        let end = first.checked_add(after).and_then(|last| last.checked_add(1));
        let end = end.filter(|&end| end <= len).ok_or(outside)?;
        Ok(Self { start, end, origin: before, strides })
    }

    /// The same for a tensor that is written, in which no two units may share an element.
    fn of_output(
        geometry: &Geometry,
        len: usize,
        first: usize,
        strides: Option<[isize; 5]>,
    ) -> Result<Self, Error> {
        let place = Self::new(geometry, Buffer::Output, len, first, strides)?;
        if strides.is_some() {
            check_apart(&geometry.sizes(), &place.strides)?;
        }
        Ok(place)
    }

    fn rows(&self, geometry: &Geometry) -> Rows {
        Rows::new(&geometry.sizes(), &self.strides, self.origin)
    }
}

#[inline]
fn check_dense(geometry: &Geometry, buffer: Buffer, len: usize) -> Result<(), Error> {
    let needed = geometry.elements();
    if len == needed { Ok(()) } else { Err(Error::Length { buffer, needed, given: len }) }
}

/// The tensor of a pass in place, and where its units lie if it is a view.
#[inline(always)]
pub(crate) fn in_place<'t, T: Copy>(
    geometry: &Geometry,
    x: ViewMut<'t, T>,
) -> Result<(Tensor<'t, T>, Option<Rows>), Error> {
    let Memory::Elements(data) = x.data else { return Err(Error::Uninit) };
    if x.strides.is_none() {
        check_dense(geometry, Buffer::Output, data.len())?;
        return Ok((Tensor::InPlace(data), None));
    }
    let place = Place::of_output(geometry, data.len(), x.first, x.strides)?;
    let elements = data.get_mut(place.start..place.end).unwrap_or_default();
    Ok((Tensor::InPlace(elements), Some(place.rows(geometry))))
}

/// The tensor of a pass from `x` to `y`, and where its units lie if it is a view. Where they do not
/// lie alike in both, `x` is copied to where they lie in `y`, so that all that follows knows one
/// place for each unit. It is the last check of a pass, as it may write.
#[inline]
pub(crate) fn pair<'t, T: Copy>(
    geometry: &Geometry,
    level: Level,
    x: View<'t, T>,
    y: ViewMut<'t, T>,
) -> Result<(Tensor<'t, T>, Option<Rows>), Error> {
    let y_data = match y.data {
        Memory::Elements(data) => as_uninit(data),
        Memory::Uninit(data) => data,
    };
    let stores = Stores::of(level, size_of_val(x.data));
    if x.strides.is_none() && y.strides.is_none() {
        check_dense(geometry, Buffer::Input, x.data.len())?;
        check_dense(geometry, Buffer::Output, y_data.len())?;
        return Ok((Tensor::To(x.data, y_data, stores), None));
    }
    let from = Place::new(geometry, Buffer::Input, x.data.len(), x.first, x.strides)?;
    let to = Place::of_output(geometry, y_data.len(), y.first, y.strides)?;
    let x = x.data.get(from.start..from.end).unwrap_or_default();
    let y = y_data.get_mut(to.start..to.end).unwrap_or_default();
    let rows = to.rows(geometry);
    let tensor = if from.rows(geometry) == rows {
        Tensor::To(x, y, stores)
    } else {
        Tensor::InPlace(gather(&geometry.sizes(), &from, &to, x, y))
    };
    Ok((tensor, Some(rows)))
}

/// Copies every unit, and returns `y` as elements: a view of elements, or dense.
#[inline(never)]
fn gather<'t, T: Copy>(
    &[samples, channels, depth, height, width]: &[usize; 5],
    from: &Place,
    to: &Place,
    x: &[T],
    y: &'t mut [MaybeUninit<T>],
) -> &'t mut [T] {
    let rows = (0..samples).flat_map(|n| (0..channels).map(move |c| (n, c)));
    let rows = rows.flat_map(|map| (0..depth).map(move |d| (map, d)));
    let rows = rows.flat_map(|slice| (0..height).map(move |h| (slice, h)));
    for (((n, c), d), h) in rows {
        let start = |place: &Place| {
            let [sn, sc, sd, sh, _] = place.strides;
            let offset = n as isize * sn + c as isize * sc + d as isize * sd + h as isize * sh;
            place.origin.wrapping_add_signed(offset)
        };
        let (mut x_at, mut y_at) = (start(from), start(to));
        for _ in 0..width {
            if let (Some(&x), Some(y)) = (x.get(x_at), y.get_mut(y_at)) {
                y.write(x);
            }
            x_at = x_at.wrapping_add_signed(from.strides[4]);
            y_at = y_at.wrapping_add_signed(to.strides[4]);
        }
    }
    as_elements(y)
}

/// Elements as memory to which only values are written.
#[allow(unsafe_code, reason = "a view as what it is made of")]
pub(crate) fn as_uninit<T>(y: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: the layout is the same, and the crate never writes anything but values there.
    unsafe { &mut *(core::ptr::from_mut(y) as *mut [MaybeUninit<T>]) }
}

/// Memory of which every element is a value: either it was made of elements, or it is dense and
/// every unit has just been written.
#[allow(unsafe_code, reason = "memory that has been written")]
pub(crate) fn as_elements<T>(y: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: the layout is the same, and every element is a value.
    unsafe { &mut *(core::ptr::from_mut(y) as *mut [T]) }
}
