//! The caller: its memory, its plan, and what holds after each call.

mod make;
mod tensor;
mod with_plan;
mod without;

use std::ffi::CStr;

use arbitrary::Arbitrary;
use dropblock_fuzz::arena::{Arena, At, DATA, Place, SLOT};

use crate::constants::*;
use crate::plan::*;
use crate::status::{dropblock_error_message, dropblock_status_message};
use crate::types::*;

/// One call, and where its error goes.
#[derive(Arbitrary, Debug)]
struct Call {
    error: u8,
    text: u8,
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    Plan(make::Plan),
    Shape(make::Shape),
    Options(make::Init),
    Pass(with_plan::Pass),
    Ask(with_plan::Ask),
    Dilation(without::Dilation),
    Schedule(without::Schedule),
    Numbers(u32, u32, u64),
}

/// Which plan is given.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct PlanChoice {
    how: u8,
    at: Place,
}

/// An error, and memory on both sides of it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Errors {
    before: [u64; 4],
    error: dropblock_error,
    after: [u64; 4],
}

const CANARY: [u64; 4] = [0x5a5a_5a5a_5a5a_5a5a; 4];
const CLEAN: dropblock_error =
    dropblock_error { status: 77, argument: 78, needed: [79; 2], given: [80; 2], value: 81.0 };

/// What a call wants to be true of it.
struct Outcome<'w> {
    status: dropblock_status,
    /// Whether it had to be refused.
    bad: bool,
    /// Places that a success may write, and how many bytes.
    written: &'w [(At, usize)],
}

struct Caller {
    arena: Arena,
    /// The bytes of the plan, if there is one.
    plan: Option<Vec<u8>>,
    elements: usize,
    mask_words: usize,
    units: usize,
    groups: usize,
    /// Of samples, channels, depth, height and width.
    sizes: [usize; 5],
    errors: Box<Errors>,
    /// Whether the error of the call at hand is misaligned.
    bad_error: bool,
}

/// What is called: first a plan is made that is mostly right, since no call does much without.
#[derive(Arbitrary, Debug)]
pub(crate) struct Calls {
    start: make::Start,
    calls: Vec<Call>,
}

impl Calls {
    pub(crate) fn run(&self) {
        let mut caller = Caller::default();
        caller.restore();
        caller.plan(&self.start.plan(), std::ptr::null_mut());
        for call in self.calls.iter().take(24) {
            caller.call(call);
        }
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            arena: Arena::default(),
            plan: None,
            elements: 0,
            mask_words: 0,
            units: 0,
            groups: 0,
            sizes: [0; 5],
            errors: Box::new(Errors { before: CANARY, error: CLEAN, after: CANARY }),
            bad_error: false,
        }
    }
}

impl Caller {
    fn call(&mut self, call: &Call) {
        self.restore();
        self.errors.error = CLEAN;
        let kind = 255 - call.error;
        self.bad_error = kind == 1;
        let start = &raw mut self.errors.error;
        let error = match kind {
            0 => std::ptr::null_mut(),
            1 => start.wrapping_byte_add(usize::from(call.text) % 7 + 1),
            _ => start,
        };
        let status = match &call.what {
            What::Plan(plan) => self.plan(plan, error),
            What::Shape(shape) => self.shape(shape, error),
            What::Options(init) => self.options(init, error),
            What::Pass(pass) => self.pass(pass, error),
            What::Ask(ask) => self.ask(ask, error),
            What::Dilation(dilation) => self.dilation(dilation, error),
            What::Schedule(schedule) => self.schedule(schedule, error),
            &What::Numbers(number, other, long) => {
                numbers(number, other, long);
                None
            }
        };
        if let Some(status) = status {
            self.check_error(status, call, error);
        }
    }

    /// The plan, or what is none, in both slots.
    fn restore(&mut self) {
        let nothing = [0; size_of::<dropblock_plan>()];
        let bytes = self.plan.as_deref().unwrap_or(&nothing);
        for slot in [0, SLOT] {
            self.arena.put_bytes(slot, bytes);
        }
    }

    /// Takes over the plan that a call has made in the first slot.
    fn adopt(&mut self, shape: &dropblock_shape, quick: bool) {
        self.plan = Some(self.arena.bytes()[..size_of::<dropblock_plan>()].to_vec());
        let plan = self.arena.pointer(At(Some(0)));
        // SAFETY: a call has made a plan there.
        (self.elements, self.mask_words, self.units, self.groups) = unsafe {
            (
                dropblock_plan_elements(plan),
                dropblock_plan_mask_words(plan),
                dropblock_plan_units(plan),
                dropblock_plan_groups(plan),
            )
        };
        let dropblock_shape { samples, channels, depth, height, width, .. } = *shape;
        self.sizes = [samples, channels, depth, height, width];
        // SAFETY: the same.
        assert!((0.0..=1.0).contains(&unsafe { dropblock_plan_gamma(plan) }));
        if quick {
            // SAFETY: the same.
            let dropped = unsafe { dropblock_plan_expected_dropped(plan) };
            assert!((0.0..=1.0).contains(&dropped));
        }
        assert_eq!(self.mask_words, self.units.div_ceil(64));
    }

    /// Where the plan of a call is, and whether it must be refused.
    fn chosen(&mut self, choice: PlanChoice) -> (At, bool) {
        let at = choice.at.get();
        match 255 - choice.how {
            // Memory that was never made a plan; where it is one after all, the plan itself.
            0..=5 => {
                let magic = self.arena.bytes()[..16].to_vec();
                let first = at.0.map(|at| &self.arena.bytes()[at..at + 16]);
                let taken = first.is_some_and(|first| first == magic);
                let at = if taken { At(Some(0)) } else { at };
                (at, !taken || self.plan.is_none())
            }
            // A plan that was overwritten where it shows.
            6..=12 => {
                let place = SLOT + usize::from(choice.how) * 37 % 16;
                let byte = self.arena.bytes()[place] ^ (1 << (choice.how % 8));
                self.arena.put_bytes(place, &[byte]);
                (At(Some(SLOT)), true)
            }
            // A copy.
            13..=24 => (At(Some(SLOT)), self.plan.is_none()),
            _ => (At(Some(0)), self.plan.is_none()),
        }
    }

    /// What holds after a call with a status.
    fn finish(&mut self, outcome: &Outcome<'_>) -> Option<dropblock_status> {
        let bad = outcome.bad || self.bad_error;
        if outcome.status == DROPBLOCK_OK {
            assert!(!bad, "was not refused");
            self.arena.check(outcome.written);
        } else {
            self.arena.check(&[]);
        }
        Some(outcome.status)
    }

    /// The error is that of the status, and its text fits where it is to go.
    fn check_error(&mut self, status: dropblock_status, call: &Call, error: *mut dropblock_error) {
        let errors = &*self.errors;
        assert_eq!((errors.before, errors.after), (CANARY, CANARY), "around the error");
        if status == DROPBLOCK_OK || error.is_null() || self.bad_error {
            assert_eq!(errors.error, CLEAN, "the error is left as it is");
        } else {
            assert_eq!(errors.error.status, status);
        }
        assert_ne!(status, DROPBLOCK_STATUS_UNKNOWN, "a reason without a number");
        // SAFETY: a constant string.
        let message = unsafe { CStr::from_ptr(dropblock_status_message(status)) };
        assert!(!message.is_empty());

        let mut text = [0x11_u8; 300];
        let len = usize::from(call.text);
        // SAFETY: null, misaligned, or an error; the text is longer than is said.
        let whole = unsafe { dropblock_error_message(error, text.as_mut_ptr().cast(), len) };
        assert!(text[len..].iter().all(|&byte| byte == 0x11), "behind the text");
        assert_eq!(whole == 0, error.is_null() || self.bad_error);
        let shown = text[..len].iter().position(|&byte| byte == 0);
        assert_eq!(shown, (len > 0).then(|| whole.min(len - 1)));
    }
}

/// What takes numbers only.
fn numbers(number: u32, other: u32, long: u64) {
    use crate::backend::{dropblock_backend_is_available, dropblock_backend_name};
    let number = if other % 2 == 0 { number % 300 } else { number };
    let name = dropblock_backend_name(number);
    assert_eq!(name.is_null(), !(1..=4).contains(&number));
    assert!(dropblock_backend_is_available(number) <= u32::from(number <= 4));
    assert!(!dropblock_status_message(number).is_null());
    assert!((0.0..=1.0).contains(&crate::options::dropblock_paper_group_factor(long as usize)));
    // Any bits are an error whose text can be asked for.
    let error = dropblock_error {
        status: number,
        argument: other,
        needed: [long; 2],
        given: [!long, long],
        value: f64::from_bits(long),
    };
    let mut text = [0_u8; 64];
    let huge = usize::MAX - (long % 3) as usize;
    for (start, len) in [(text.as_mut_ptr(), 64), (std::ptr::null_mut(), 0)] {
        // SAFETY: an error, and as much text as is said.
        assert!(unsafe { dropblock_error_message(&raw const error, start.cast(), len) } > 0);
    }
    // SAFETY: more text than can be is refused.
    let none = unsafe { dropblock_error_message(&raw const error, text.as_mut_ptr().cast(), huge) };
    assert_eq!(none, 0);
}

/// A number of a list, which mostly begins at 0 and has so many.
fn listed(number: u8, count: u32) -> u32 {
    match number {
        255 => u32::MAX,
        254 => count,
        number => u32::from(number) % count,
    }
}

/// The place of a struct of the caller's, never in the slots of plans unless it is only read there.
fn behind_plans(at: At) -> At {
    At(at.0.map(|at| if at < DATA { DATA + at } else { at }))
}
