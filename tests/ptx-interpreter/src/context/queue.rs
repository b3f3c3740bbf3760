//! Running what is queued, and the streams and events that say when.

use std::time::Instant;

use super::{Context, NULL_STREAM};
use crate::device::report;
use crate::errors::{INVALID_HANDLE, NOT_READY};
use crate::execute::{Launch, execute};
use crate::host;
use crate::memory::Problem;
use crate::stream::{Atomic, Event, Queued, Stream, Work};

impl Context {
    /// Runs all operations of a stream up to a number.
    fn run_until(&mut self, stream: u64, number: u64) {
        while self.next(stream).is_some_and(|next| next <= number) {
            self.run_next(stream);
        }
    }

    pub(super) fn next(&self, stream: u64) -> Option<u64> {
        self.streams.get(&stream)?.next()
    }

    /// Runs the next operation of a stream, and before it all that it has to wait for. This ends,
    /// since each operation waits only for those with smaller numbers.
    fn run_next(&mut self, stream: u64) {
        let Some(number) = self.next(stream) else { return };
        if stream == NULL_STREAM {
            for other in self.blocking() {
                self.run_until(other, number - 1);
            }
        } else if self.streams[&stream].blocking {
            self.run_until(NULL_STREAM, number - 1);
        }
        if let Some((_, Work::Wait(other, until))) = self.streams[&stream].queue.front() {
            let (other, until) = (*other, *until);
            self.run_until(other, until);
            self.note_wait(stream, other, until);
        }
        let popped = self.streams.get_mut(&stream).and_then(|stream| stream.queue.pop_front());
        if let Some((number, work)) = popped
            && self.error.is_none()
        {
            self.perform(work, stream, number);
        }
        self.streams.retain(|_, stream| !stream.destroyed || !stream.queue.is_empty());
    }

    /// All streams, except for the null stream, that wait for it.
    fn blocking(&self) -> Vec<u64> {
        let others = self.streams.iter().filter(|&(&handle, _)| handle != NULL_STREAM);
        others.filter(|(_, stream)| stream.blocking).map(|(&handle, _)| handle).collect()
    }

    /// A stream has waited for another one, and so for all that it had waited for.
    fn note_wait(&mut self, stream: u64, other: u64, until: u64) {
        let mut all =
            self.streams.get(&other).map(|other| other.waited.clone()).unwrap_or_default();
        all.insert(other, until);
        if let Some(stream) = self.streams.get_mut(&stream) {
            for (other, until) in all {
                let waited = stream.waited.entry(other).or_insert(0);
                *waited = until.max(*waited);
            }
        }
    }

    /// Two launches that do atomic operations in the same memory are ordered: by their stream, by the
    /// null stream, by an event, or because one had run when the other was asked for.
    fn check_order(&mut self, name: &str, stream: u64, number: u64) {
        let asked = self.operations;
        for region in self.memory.take_atomics() {
            let Some(before) = self.atomics.insert(region, Atomic { stream, number, asked }) else {
                continue;
            };
            let blocking = |of: u64| self.streams.get(&of).is_none_or(|stream| stream.blocking);
            let null = (stream == NULL_STREAM || before.stream == NULL_STREAM)
                && blocking(stream)
                && blocking(before.stream);
            let waited = self.streams.get(&stream).and_then(|own| own.waited.get(&before.stream));
            let event = waited.is_some_and(|&until| until >= before.number);
            if before.stream != stream && before.asked >= number && !null && !event {
                let text = format!(
                    "{name} and a launch on another stream change the same memory, without order"
                );
                self.fail(&Problem::failure(text));
            }
        }
    }

    pub(super) fn perform(&mut self, work: Work, stream: u64, number: u64) {
        let result = match work {
            Work::Launch(launch) => {
                self.execute(&launch);
                let name = &launch.program.functions[launch.entry].name;
                self.check_order(name, stream, number);
                return;
            }
            Work::Upload(to, from, bytes) => self
                .memory
                .write(to, bytes)
                .map(|data| data.copy_from_slice(&host::read(from, bytes))),
            Work::Download(to, from, bytes) => {
                self.memory.read(from, bytes).map(|data| host::write(to, data))
            }
            Work::Copy(to, from, bytes) => self.memory.copy(to, from, bytes),
            Work::Set(at, width, value, count) => {
                self.memory.write(at, width * count).map(|data| {
                    let value = value.to_le_bytes();
                    for part in data.chunks_exact_mut(width) {
                        part.copy_from_slice(&value[..width]);
                    }
                })
            }
            Work::Record(event, number) => {
                if let Some(event) = self.events.get_mut(&event)
                    && event.record.is_some_and(|(_, last)| last == number)
                {
                    event.done = Some(Instant::now());
                }
                Ok(())
            }
            Work::Wait(..) => Ok(()),
        };
        if let Err(problem) = result {
            self.fail(&problem);
        }
    }

    fn execute(&mut self, queued: &Queued) {
        let launch = Launch {
            program: &queued.program,
            entry: queued.entry,
            grid: queued.grid,
            block: queued.block,
            dynamic: queued.dynamic,
            params: &queued.params,
            seed: self.device.next_seed(),
            budget: self.device.budget,
            profile: self.device.statistics,
        };
        let begin = Instant::now();
        match execute(&launch, &mut self.memory, &mut self.segment) {
            Ok((steps, Some(profile))) => {
                let name = &queued.program.functions[queued.entry].name;
                let rate = steps as f64 / begin.elapsed().as_secs_f64() / 1e6;
                report(&format!("{name}: {profile}; {steps} steps, {rate:.0} million a second"));
            }
            Ok(_) => {}
            Err(fault) => {
                self.say(fault.to_string());
                self.error = Some(fault.problem.code);
            }
        }
    }

    // Streams and events

    /// Makes a stream.
    pub fn create_stream(&mut self, blocking: bool) -> u64 {
        let handle = self.handle();
        self.streams.insert(handle, Stream { blocking, ..Stream::default() });
        handle
    }

    /// Destroys a stream; what is queued still runs.
    pub fn destroy_stream(&mut self, handle: u64) -> Result<(), i32> {
        self.live(handle)?;
        if handle == NULL_STREAM {
            return Err(INVALID_HANDLE);
        }
        let stream = self.streams.get_mut(&handle).ok_or(INVALID_HANDLE)?;
        stream.destroyed = true;
        let empty = stream.queue.is_empty();
        if empty {
            self.streams.remove(&handle);
        }
        Ok(())
    }

    /// Runs all that is queued on a stream.
    pub fn synchronise(&mut self, stream: u64) -> Result<(), i32> {
        self.live(stream)?;
        self.run_until(stream, u64::MAX);
        if stream == NULL_STREAM {
            for other in self.blocking() {
                self.run_until(other, u64::MAX);
            }
        }
        self.outcome()
    }

    /// Runs all that is queued.
    pub fn synchronise_all(&mut self) -> Result<(), i32> {
        let streams: Vec<u64> = self.streams.keys().copied().collect();
        for stream in streams {
            self.run_until(stream, u64::MAX);
        }
        self.outcome()
    }

    /// Says whether a stream has nothing to do, and lets it go one step further if it has.
    pub fn query(&mut self, stream: u64) -> Result<(), i32> {
        self.live(stream)?;
        if self.next(stream).is_none() {
            return self.outcome();
        }
        self.run_next(stream);
        self.outcome()?;
        Err(NOT_READY)
    }

    /// Makes an event.
    pub fn create_event(&mut self, timing: bool) -> u64 {
        let handle = self.handle();
        self.events.insert(handle, Event { timing, ..Event::default() });
        handle
    }

    /// Destroys an event.
    pub fn destroy_event(&mut self, handle: u64) -> Result<(), i32> {
        self.events.remove(&handle).map(|_| ()).ok_or(INVALID_HANDLE)
    }

    /// Records an event on a stream.
    pub fn record(&mut self, event: u64, stream: u64) -> Result<(), i32> {
        if !self.events.contains_key(&event) {
            return Err(INVALID_HANDLE);
        }
        let number = self.operations + 1;
        self.enqueue(stream, Work::Record(event, number))?;
        if let Some(event) = self.events.get_mut(&event) {
            event.record = Some((stream, number));
            event.done = None;
        }
        Ok(())
    }

    fn event(&self, handle: u64) -> Result<&Event, i32> {
        self.events.get(&handle).ok_or(INVALID_HANDLE)
    }

    /// Lets a stream wait for an event.
    pub fn wait_event(&mut self, stream: u64, event: u64) -> Result<(), i32> {
        self.live(stream)?;
        if let Some((other, number)) = self.event(event)?.record {
            self.enqueue(stream, Work::Wait(other, number))?;
        }
        Ok(())
    }

    /// Says whether an event has happened, and lets its stream go one step further if not.
    pub fn query_event(&mut self, event: u64) -> Result<(), i32> {
        let event = self.event(event)?;
        match event.record {
            Some((stream, _)) if event.done.is_none() => {
                self.run_next(stream);
                self.outcome()?;
                Err(NOT_READY)
            }
            _ => self.outcome(),
        }
    }

    /// Runs all up to an event.
    pub fn synchronise_event(&mut self, event: u64) -> Result<(), i32> {
        if let Some((stream, number)) = self.event(event)?.record {
            self.run_until(stream, number);
        }
        self.outcome()
    }

    /// Milliseconds between two events.
    pub fn elapsed(&self, start: u64, end: u64) -> Result<f32, i32> {
        let (start, end) = (self.event(start)?, self.event(end)?);
        if !start.timing || !end.timing || start.record.is_none() || end.record.is_none() {
            return Err(INVALID_HANDLE);
        }
        let (Some(start), Some(end)) = (start.done, end.done) else { return Err(NOT_READY) };
        Ok(end.saturating_duration_since(start).as_secs_f32() * 1e3)
    }
}
