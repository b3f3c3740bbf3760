//! Schedules: a drop probability, block size or factor of gamma as a function of the step.

use crate::{Error, Gamma};

/// 2^64: no block size and no number of steps is larger, and no product below overflows.
const LIMIT: f64 = 18_446_744_073_709_551_616.0;

/// A value that changes during training: a drop probability, a block size, a factor of gamma.
///
/// It keeps no state. [`Schedule::at`] depends on its arguments alone, so a resumed run goes on
/// as if it had never stopped, and no error builds up.
///
/// `step` counts the steps that are done, `total` those of the whole training. The value is exactly
/// the start value at step 0 and exactly the end value from step `total` on. In the last step of
/// training `total - 1` steps are done, so its value is one step short of the end. A total of 0 gives
/// the end value.
///
/// A shorter `total` ends the change earlier: `linear(0.0, 0.1)?.at(step, 500)` warms up for 500
/// steps and stays at 0.1.
///
/// # Examples
///
/// ```
/// use dropblock::{DropBlock, Schedule};
///
/// const DROP_PROB: Schedule = match Schedule::linear(0.0, 0.1) {
///     Ok(schedule) => schedule.after(100),
///     Err(_) => panic!("bad values"),
/// };
/// let block_size = Schedule::steps(3.0, &[(400, 5.0), (800, 7.0)])?;
///
/// let (step, total) = (550, 1000);
/// let layer = DropBlock::new(block_size.block_size(step, total), DROP_PROB.at(step, total))?;
/// assert_eq!(layer, DropBlock::new(5, 0.05)?);
/// # Ok::<(), dropblock::Error>(())
/// ```
///
/// # Value stability
///
/// Multiplications, divisions and sums of the IEEE standard, and the sine of the crate `libm`,
/// which is made of the same: equal bits on every machine.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked", into = "Unchecked"))]
pub struct Schedule {
    start: f64,
    end: f64,
    course: Course,
    held: u64,
    list: List,
}

/// What lies between start and end.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Course {
    Linear,
    Cosine,
    Darknet,
    Steps,
}

/// The steps of a list, of its own, so that it may come from a file.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct List {
    steps: [(u64, f64); MAX_STEPS],
    len: usize,
}

impl List {
    const EMPTY: Self = Self { steps: [(0, 0.0); MAX_STEPS], len: 0 };
}

/// The most steps that a schedule can list.
const MAX_STEPS: usize = 32;

impl Schedule {
    /// Always this value, in `[0, 2^64]`.
    ///
    /// # Errors
    ///
    /// [`Error::ScheduleValue`] outside the range or NaN.
    #[inline]
    pub const fn constant(value: f64) -> Result<Self, Error> {
        Self::new(value, value, Course::Linear)
    }

    /// Linearly from `start` to `end`, both in `[0, 2^64]`. The value never turns back, and is
    /// within `2^-50 * max(start, end)` of the exact one.
    ///
    /// # Errors
    ///
    /// [`Error::ScheduleValue`] outside the range or NaN.
    #[inline]
    pub const fn linear(start: f64, end: f64) -> Result<Self, Error> {
        Self::new(start, end, Course::Linear)
    }

    /// From `start` to `end`, both in `[0, 2^64]`, by half a period of the cosine: slow at both
    /// ends, exactly half-way at half the time. The value is within `2^-49 * max(start, end)` of the
    /// exact one, and never turns back by more than that.
    ///
    /// # Errors
    ///
    /// [`Error::ScheduleValue`] outside the range or NaN.
    #[inline]
    pub const fn cosine(start: f64, end: f64) -> Result<Self, Error> {
        Self::new(start, end, Course::Cosine)
    }

    /// Begins with `start`. From each listed step on it has the value beside that step. Values are in
    /// `[0, 2^64]`; steps rise, the first is at least 1, and there are at most 32. From step `total` on
    /// it has the last value of the list.
    ///
    /// # Errors
    ///
    /// [`Error::ScheduleValue`] for a value outside the range or NaN, [`Error::ScheduleStep`] for
    /// a step that is not above the one before it, or not above 0, [`Error::ScheduleSteps`] for
    /// more than 32.
    #[inline]
    pub const fn steps(start: f64, list: &[(u64, f64)]) -> Result<Self, Error> {
        let (mut above, mut end) = (0, start);
        let (limit, given) = (MAX_STEPS, list.len());
        if given > limit {
            return Err(Error::ScheduleSteps { limit, given });
        }
        let mut own = List { len: given, ..List::EMPTY };
        let mut i = 0;
        while i < list.len() {
            let (step, value) = list[i];
            if step <= above {
                return Err(Error::ScheduleStep { above, given: step });
            }
            if let Err(error) = Self::constant(value) {
                return Err(error);
            }
            own.steps[i] = list[i];
            (above, end) = (step, value);
            i += 1;
        }
        match Self::new(start, end, Course::Steps) {
            Ok(schedule) => Ok(Self { list: own, ..schedule }),
            Err(error) => Err(error),
        }
    }

    /// The paper's drop probability: linearly from 0 to `drop_prob`. In the paper's words `keep_prob`
    /// goes from 1 to `1 - drop_prob`.
    ///
    /// Ghiasi, Lin, Le 2018, arXiv 1810.12890, section 4.1. The block size stays the same. Each group
    /// of a residual network has a factor: [`Gamma::paper_group`].
    ///
    /// ```
    /// use dropblock::{DropBlock, Gamma, Schedule};
    /// let drop_prob = Schedule::paper(0.1)?;
    /// let group_4 = DropBlock::new(7, drop_prob.at(45, 90))?;
    /// let group_3 = group_4.with_gamma(Gamma::paper_group(3))?;
    /// assert_eq!(group_3.drop_prob(), 0.05);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::DropProb`] outside `[0, 1]` or NaN.
    #[inline]
    pub const fn paper(drop_prob: f64) -> Result<Self, Error> {
        if !(drop_prob >= 0.0 && drop_prob <= 1.0) {
            return Err(Error::DropProb { given: drop_prob });
        }
        Self::linear(0.0, drop_prob)
    }

    /// Darknet's drop probability or block size: linearly from 0 to `end`, in `[0, 2^64]`. It reaches
    /// `end` at 0.85 of the total (`max_batches`).
    ///
    /// Darknet multiplies both by the same factor (AlexeyAB/darknet, `src/dropout_layer_kernels.cu`),
    /// in single precision, and rounds the block size as [`Schedule::block_size`] does.
    ///
    /// ```
    /// use dropblock::{DropBlock, Schedule};
    /// let (drop_prob, block_size) = (Schedule::darknet(0.1)?, Schedule::darknet(7.0)?);
    /// let (step, total) = (4250, 10_000);
    /// let layer = DropBlock::new(block_size.block_size(step, total), drop_prob.at(step, total))?;
    /// assert_eq!(layer, DropBlock::new(3, 0.05)?);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::ScheduleValue`] outside the range or NaN.
    #[inline]
    pub const fn darknet(end: f64) -> Result<Self, Error> {
        Self::new(0.0, end, Course::Darknet)
    }

    /// Holds the start value for `steps` more steps (`u64::MAX` at most). The change then takes the rest
    /// of the total. Listed steps come that much later.
    #[inline]
    #[must_use]
    pub const fn after(mut self, steps: u64) -> Self {
        self.held = self.held.saturating_add(steps);
        self
    }

    /// Returns the value when `step` of `total` steps are done, for
    /// [`DropBlock::with_drop_prob`](crate::DropBlock::with_drop_prob) or [`Gamma::Paper`].
    #[must_use]
    pub fn at(&self, step: u64, total: u64) -> f64 {
        if step >= total {
            return self.end;
        }
        if step <= self.held {
            return self.start;
        }
        // From here on `held < step < total`.
        let done = step - self.held;
        let all = (total - self.held) as f64;
        match self.course {
            Course::Linear => self.between(done as f64, all),
            Course::Darknet => self.between(done as f64, all * 0.85),
            Course::Cosine => {
                // 1 - cos(pi * t), as a sine: exactly half-way at t = 1/2.
                let angle = core::f64::consts::PI * (done as f64 / all - 0.5);
                self.between(1.0 + libm::sin(angle), 2.0)
            }
            Course::Steps => {
                let begun = self
                    .list
                    .steps
                    .iter()
                    .take(self.list.len)
                    .rev()
                    .find(|(first, _)| *first <= done);
                begun.map_or(self.start, |&(_, value)| value)
            }
        }
    }

    /// Returns the value as a block size: rounded down, at least 1, at most `usize::MAX`.
    #[inline]
    #[must_use]
    pub fn block_size(&self, step: u64, total: u64) -> usize {
        (self.at(step, total) as usize).max(1)
    }

    const fn new(start: f64, end: f64, course: Course) -> Result<Self, Error> {
        if !(start >= 0.0 && start <= LIMIT) {
            return Err(Error::ScheduleValue { given: start });
        }
        if !(end >= 0.0 && end <= LIMIT) {
            return Err(Error::ScheduleValue { given: end });
        }
        Ok(Self { start, end, course, held: 0, list: List::EMPTY })
    }

    /// `done / all` of the way. The product comes first, so that a block size that is whole in
    /// exact arithmetic is whole here; rounding must not carry it past the end.
    fn between(&self, done: f64, all: f64) -> f64 {
        if done >= all {
            return self.end;
        }
        let value = self.start + (self.end - self.start) * done / all;
        value.clamp(self.start.min(self.end), self.start.max(self.end))
    }
}

impl Gamma {
    /// The paper's gamma in a group of residual blocks: Eq. 1 in group 4, a quarter of it in
    /// group 3, and 0, which drops nothing, in the others.
    ///
    /// Ghiasi, Lin, Le 2018, arXiv 1810.12890, drop in groups 3 and 4. The maps of group 3 have four
    /// times the area of those of group 4.
    #[inline]
    #[must_use]
    pub const fn paper_group(group: usize) -> Self {
        match group {
            3 => Self::Paper { scale: 0.25 },
            4 => Self::Paper { scale: 1.0 },
            _ => Self::Paper { scale: 0.0 },
        }
    }
}

/// A schedule as it is stored, checked when it is read.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "Schedule")]
struct Unchecked {
    start: f64,
    end: f64,
    course: Course,
    held: u64,
    list: List,
}

#[cfg(feature = "serde")]
impl From<Schedule> for Unchecked {
    fn from(Schedule { start, end, course, held, list }: Schedule) -> Self {
        Self { start, end, course, held, list }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Schedule {
    type Error = Error;

    fn try_from(stored: Unchecked) -> Result<Self, Error> {
        let Unchecked { start, end, course, held, list } = stored;
        let (limit, given) = (MAX_STEPS, list.len);
        let steps = list.steps.get(..given).ok_or(Error::ScheduleSteps { limit, given })?;
        let schedule = match course {
            Course::Steps => Self::steps(start, steps),
            course => Self::new(start, end, course),
        };
        Ok(schedule?.after(held))
    }
}
