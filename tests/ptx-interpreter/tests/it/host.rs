//! What the host sees: order, missing waits, memory, versions.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{context, device, download, kernel, launch, launch_null, upload};
use cuda::context::{Context, NULL_STREAM};
use cuda::stream::Work;

/// Adds 1 to the first word of the output.
fn increment() -> String {
    kernel("ld.global.u32 %r1, [%out]; add.s32 %r1, %r1, 1; st.global.u32 [%out], %r1;")
}

fn prepared() -> (Context, u64, u64) {
    let mut context = context();
    let module = context.load(&increment()).expect("a module");
    let function = context.function(module, "k").expect("a kernel");
    let at = upload(&mut context, &[0]);
    (context, function, at)
}

fn found(context: &Context, words: &str) {
    let findings = &context.findings;
    assert!(findings.iter().any(|text| text.contains(words)), "{words}: {findings:?}");
}

#[test]
fn nothing_runs_before_somebody_waits() {
    let (mut context, function, at) = prepared();
    let stream = context.create_stream(false);
    launch(&mut context, function, [1, 1], stream, [at, at]).expect("a launch");
    assert_eq!(context.memory.read(at, 4).expect("values"), [0; 4]);
    context.synchronise(stream).expect("no error");
    assert_eq!(context.memory.read(at, 4).expect("values"), [1, 0, 0, 0]);
    // Questions let it go step by step.
    launch(&mut context, function, [1, 1], stream, [at, at]).expect("a launch");
    launch(&mut context, function, [1, 1], stream, [at, at]).expect("a launch");
    assert_eq!(context.query(stream), Err(600));
    assert_eq!(context.query(stream), Err(600));
    assert_eq!(context.query(stream), Ok(()));
    assert_eq!(download(&mut context, at, 1), Ok(vec![3]));
    launch(&mut context, function, [1, 1], stream, [at, at]).expect("a launch");
    context.synchronise_all().expect("no error");
    assert_eq!(download(&mut context, at, 1), Ok(vec![4]));
}

#[test]
fn copies_that_do_not_wait_are_found() {
    let (mut context, function, at) = prepared();
    let stream = context.create_stream(false);
    launch(&mut context, function, [1, 1], stream, [at, at]).expect("a launch");
    assert_eq!(download(&mut context, at, 1), Err(719));
    found(&context, "does not wait for a launch of k");
    // The error stays.
    assert_eq!(context.synchronise(stream), Err(719));

    // A memset, and memory that has nothing to do with it.
    let (mut context, _, at) = prepared();
    let other = upload(&mut context, &[5]);
    let stream = context.create_stream(false);
    context.enqueue(stream, Work::Set(at, 4, 7, 1)).expect("a memset");
    assert_eq!(download(&mut context, other, 1), Ok(vec![5]));
    assert_eq!(context.at_once(Work::Set(at, 4, 8, 1)), Err(719));
    found(&context, "does not wait for a memset");

    // Numbers that only look like the address, as no pointer is aligned to 4 bytes.
    let mut context = self::context();
    let text = increment().replace(".param .u64 in,", ".param .align 4 .b8 in[8],");
    let module = context.load(&text).expect("a module");
    let function = context.function(module, "k").expect("a kernel");
    let [at, other] = [0, 1].map(|value| upload(&mut context, &[value]));
    let stream = context.create_stream(false);
    launch(&mut context, function, [1, 1], stream, [at, other]).expect("a launch");
    assert_eq!(download(&mut context, at, 1), Ok(vec![0]));
    assert_eq!(download(&mut context, other, 1), Err(719));

    // Memory that is freed too early.
    let (mut context, function, at) = prepared();
    let stream = context.create_stream(false);
    launch(&mut context, function, [1, 1], stream, [at, at]).expect("a launch");
    assert_eq!(context.free(at), Err(719));
    found(&context, "is freed while a launch of k is queued");

    // A module too.
    let mut context = self::context();
    let module = context.load(&increment()).expect("a module");
    let function = context.function(module, "k").expect("a kernel");
    let at = upload(&mut context, &[0]);
    launch_null(&mut context, function, [1, 1], [at, at]).expect("a launch");
    assert_eq!(context.unload(module), Err(719));
    found(&context, "unloaded while");
}

#[test]
fn the_null_stream_waits_and_is_waited_for() {
    let (mut context, function, at) = prepared();
    let blocking = context.create_stream(true);
    launch(&mut context, function, [1, 1], blocking, [at, at]).expect("a launch");
    assert_eq!(download(&mut context, at, 1), Ok(vec![1]));
    // In the order of the calls, whichever stream is waited for.
    context.enqueue(blocking, Work::Set(at, 4, 10, 1)).expect("a memset");
    launch_null(&mut context, function, [1, 1], [at, at]).expect("a launch");
    context.enqueue(blocking, Work::Set(at, 1, 0, 0)).expect("a memset");
    context.synchronise(blocking).expect("no error");
    assert_eq!(context.memory.read(at, 4).expect("values"), [11, 0, 0, 0]);
    // Another one knows nothing of it.
    let stream = context.create_stream(false);
    launch_null(&mut context, function, [1, 1], [at, at]).expect("a launch");
    context.synchronise(stream).expect("no error");
    assert_eq!(context.memory.read(at, 4).expect("values"), [11, 0, 0, 0]);
    context.synchronise(NULL_STREAM).expect("no error");
    assert_eq!(context.memory.read(at, 4).expect("values"), [12, 0, 0, 0]);
}

#[test]
fn asynchronous_copies_read_the_host_when_they_run() {
    let (mut context, function, at) = prepared();
    let stream = context.create_stream(false);
    let source = AtomicU32::new(5);
    let target = AtomicU32::new(0);
    let [from, to] = [&source, &target].map(|word| word.as_ptr().expose_provenance());
    context.enqueue(stream, Work::Upload(at, from, 4)).expect("a copy");
    launch(&mut context, function, [1, 1], stream, [at, at]).expect("a launch");
    context.enqueue(stream, Work::Download(to, at, 4)).expect("a copy");
    source.store(70, Ordering::Relaxed);
    assert_eq!(target.load(Ordering::Relaxed), 0);
    context.synchronise(stream).expect("no error");
    assert_eq!(target.load(Ordering::Relaxed), 71);
}

#[test]
fn events() {
    let (mut context, function, at) = prepared();
    let [first, second] = [context.create_stream(false), context.create_stream(false)];
    let [start, end] = [context.create_event(true), context.create_event(true)];
    assert_eq!(context.query_event(start), Ok(()));
    assert_eq!(context.elapsed(start, end), Err(400));
    context.record(start, first).expect("a record");
    launch(&mut context, function, [1, 1], first, [at, at]).expect("a launch");
    context.record(end, first).expect("a record");
    // The second stream goes on after the first.
    context.wait_event(second, end).expect("a wait");
    context.enqueue(second, Work::Set(at + 1, 1, 9, 1)).expect("a memset");
    assert_eq!(context.elapsed(start, end), Err(600));
    context.synchronise(second).expect("no error");
    assert_eq!(context.memory.read(at, 4).expect("values"), [1, 9, 0, 0]);
    assert!(context.elapsed(start, end).expect("both happened") >= 0.0);
    // Recorded once more, it has yet to happen.
    launch(&mut context, function, [1, 1], first, [at, at]).expect("a launch");
    context.record(end, first).expect("a record");
    assert_eq!(context.query_event(end), Err(600));
    assert_eq!(context.query_event(end), Err(600));
    assert_eq!(context.query_event(end), Ok(()));
    context.record(start, first).expect("a record");
    context.synchronise_event(start).expect("no error");
    let untimed = context.create_event(false);
    context.record(untimed, first).expect("a record");
    context.synchronise_event(untimed).expect("no error");
    assert_eq!(context.elapsed(start, untimed), Err(400));
    context.destroy_event(untimed).expect("a handle");
    assert_eq!(context.destroy_event(untimed), Err(400));
}

#[test]
fn a_destroyed_stream_still_does_its_work() {
    let (mut context, function, at) = prepared();
    let stream = context.create_stream(false);
    launch(&mut context, function, [1, 1], stream, [at, at]).expect("a launch");
    context.destroy_stream(stream).expect("a handle");
    assert_eq!(context.synchronise(stream), Err(400));
    context.synchronise_all().expect("no error");
    assert_eq!(download(&mut context, at, 1), Ok(vec![1]));
    assert_eq!(context.destroy_stream(stream), Err(400));
    assert_eq!(context.destroy_stream(NULL_STREAM), Err(400));
}

#[test]
fn errors_stick() {
    let (mut context, function, _) = prepared();
    launch_null(&mut context, function, [1, 1], [0, 0]).expect("a launch is only queued");
    assert_eq!(context.synchronise(NULL_STREAM), Err(700));
    found(&context, "kernel k, block [0, 0, 0], thread [0, 0, 0], PTX line 9");
    assert_eq!(context.synchronise_all(), Err(700));
    assert_eq!(context.error, Some(700));
}

#[test]
fn memory() {
    let mut context = Context::new(device(&[("PTX_MEMORY", "4096")]), 0);
    assert_eq!(context.allocate(0), Err(1));
    let first = context.allocate(2048).expect("memory");
    assert_eq!(first % 256, 0);
    assert_eq!(context.allocate(2049), Err(2));
    let second = context.allocate(2048).expect("memory");
    assert_eq!(context.allocate(1), Err(2));
    context.free(first).expect("an allocation");
    let third = context.allocate(1).expect("memory");
    assert!(third != first && second != first, "addresses are never used again");
    assert_eq!(context.free(first), Err(1));
    found(&context, "freed already");
    assert_eq!(context.free(second + 8), Err(1));
    found(&context, "not the begin of an allocation");
    assert_eq!(context.free(0), Ok(()));
    assert_eq!(context.report_leaks(), 2);
    context.free(second).expect("an allocation");
    context.free(third).expect("an allocation");
    assert_eq!(context.report_leaks(), 0);
}

#[test]
fn use_after_free_and_copies_out_of_bounds() {
    let (mut context, function, at) = prepared();
    context.free(at).expect("an allocation");
    launch_null(&mut context, function, [1, 1], [at, at]).expect("a launch");
    assert_eq!(context.synchronise(NULL_STREAM), Err(700));
    found(&context, "freed memory");
    let (mut context, _, at) = prepared();
    assert_eq!(download(&mut context, at, 2), Err(700));
    let (mut context, ..) = prepared();
    let fresh = context.allocate(8).expect("memory");
    assert_eq!(download(&mut context, fresh, 2), Err(719));
    found(&context, "uninitialised");
}

#[test]
fn copies_within_the_device() {
    let mut context = context();
    let from = upload(&mut context, &[1, 2, 3, 4]);
    let to = context.allocate(16).expect("memory");
    context.at_once(Work::Copy(to + 4, from, 12)).expect("a copy");
    assert_eq!(download(&mut context, to + 4, 3), Ok(vec![1, 2, 3]));
    // What has no value has none in the copy either.
    context.at_once(Work::Copy(from, to, 8)).expect("a copy");
    assert_eq!(download(&mut context, from + 4, 1), Ok(vec![1]));
    assert_eq!(download(&mut context, from, 1), Err(719));
}

#[test]
fn versions_and_architectures() {
    let text = increment();
    let load =
        |text: &str, changes: &[(&str, &str)]| Context::new(device(changes), 0).load(text).err();
    assert_eq!(load(&text, &[]), None);
    assert_eq!(load(&text, &[("PTX_DRIVER_VERSION", "10000")]), None);
    assert_eq!(load(&text, &[("PTX_DRIVER_VERSION", "9020")]), Some(222));
    for (version, driver, before) in [
        ("6.5", "10020", "10010"),
        ("7.0", "11000", "10020"),
        ("7.8", "11080", "11070"),
        ("8.0", "12000", "11080"),
        ("8.4", "12040", "12030"),
        ("8.5", "12050", "12040"),
        ("8.7", "12080", "12070"),
        ("9.0", "13000", "12090"),
    ] {
        let text = text.replace(".version 6.3", &format!(".version {version}"));
        assert_eq!(load(&text, &[("PTX_DRIVER_VERSION", driver)]), None, "{version}");
        assert_eq!(load(&text, &[("PTX_DRIVER_VERSION", before)]), Some(222), "{version}");
    }
    assert_eq!(load(&text, &[("PTX_ARCH", "61")]), Some(209));
    assert_eq!(load(&text, &[("PTX_ARCH", "120")]), None);
    assert_eq!(load(&text.replace("sm_70", "sm_80"), &[]), Some(209));
    assert_eq!(load("\u{7f}ELF", &[]), Some(200));
    assert_eq!(load(&text.replace("add.s32", "add.q32"), &[]), Some(218));
    let large = text.replace(".visible", ".global .b8 large[100000]; .visible");
    assert_eq!(load(&large, &[("PTX_MEMORY", "65536")]), Some(2));
}

#[test]
fn launch_limits() {
    let (mut context, function, at) = prepared();
    for (grid, block) in [
        ([1, 1, 1], [1025, 1, 1]),
        ([1, 1, 1], [0, 1, 1]),
        ([0, 1, 1], [1, 1, 1]),
        ([1, 1, 1], [33, 32, 1]),
        ([1, 1, 1], [1, 1, 65]),
        ([1, 65_536, 1], [1, 1, 1]),
        ([1, 1, 65_536], [1, 1, 1]),
        ([1 << 31, 1, 1], [1, 1, 1]),
    ] {
        let result = context.launch(function, [grid, block], 0, NULL_STREAM, |_| Ok(Vec::new()));
        assert_eq!(result, Err(1), "{grid:?} {block:?}");
    }
    let shared = |bytes| {
        move |context: &mut Context| {
            context.launch(function, [[1; 3]; 2], bytes, NULL_STREAM, |_| {
                Ok([at, at].iter().flat_map(|word| word.to_le_bytes()).collect())
            })
        }
    };
    assert_eq!(shared(49_153)(&mut context), Err(1));
    assert_eq!(shared(49_152)(&mut context), Ok(()));
    assert_eq!(launch_null(&mut context, 12, [1, 1], [at, at]), Err(400));
    assert_eq!(launch(&mut context, function, [1, 1], 12, [at, at]), Err(400));
    let limited = increment().replace("\n{", "\n.maxntid 64, 1, 1\n{");
    let module = context.load(&limited).expect("a module");
    let function = context.function(module, "k").expect("a kernel");
    assert_eq!(launch_null(&mut context, function, [1, 65], [at, at]), Err(1));
    assert_eq!(context.function(module, "other"), Err(500));
    assert_eq!(context.unload(module), Ok(()));
    assert_eq!(launch_null(&mut context, function, [1, 1], [at, at]), Err(400));
}

#[test]
fn settings() {
    use cuda::device::Pretended;
    assert!(Pretended::read(|name| (name == "PTX_ARCH").then(|| "new".to_owned())).is_err());
    let endless = kernel("$a: bra $a;");
    let mut context = Context::new(device(&[("PTX_BUDGET", "1000"), ("PTX_STATISTICS", "1")]), 0);
    let module = context.load(&endless).expect("a module");
    let function = context.function(module, "k").expect("a kernel");
    launch_null(&mut context, function, [1, 1], [0, 0]).expect("a launch");
    assert_eq!(context.synchronise(NULL_STREAM), Err(702));
}

/// Launches on two streams that add to the same word: `order` is called between them.
fn two_sums(order: impl FnOnce(&mut Context, [u64; 2]), blocking: [bool; 2]) -> Context {
    let mut context = context();
    let module = context.load(&kernel("red.global.add.u32 [%out], 1;")).expect("a module");
    let function = context.function(module, "k").expect("a kernel");
    let at = upload(&mut context, &[0]);
    let streams = blocking.map(|blocking| context.create_stream(blocking));
    launch(&mut context, function, [1, 1], streams[0], [at, at]).expect("a launch");
    order(&mut context, streams);
    launch(&mut context, function, [1, 1], streams[1], [at, at]).expect("a launch");
    let _ = context.synchronise_all();
    context
}

#[test]
fn sums_on_two_streams_are_ordered() {
    let unordered = "change the same memory, without order";
    found(&two_sums(|_, _| {}, [false; 2]), unordered);
    // An event of before, or a wait of the wrong stream, orders nothing.
    let early = |context: &mut Context, [first, second]: [u64; 2]| {
        let event = context.create_event(false);
        context.record(event, second).expect("a record");
        context.wait_event(first, event).expect("a wait");
    };
    found(&two_sums(early, [false; 2]), unordered);
    let event = |context: &mut Context, [first, second]: [u64; 2]| {
        let event = context.create_event(false);
        context.record(event, first).expect("a record");
        context.wait_event(second, event).expect("a wait");
    };
    let through_another = |context: &mut Context, [first, second]: [u64; 2]| {
        let between = context.create_stream(false);
        event(context, [first, between]);
        event(context, [between, second]);
    };
    let host = |context: &mut Context, [first, _]: [u64; 2]| {
        context.synchronise(first).expect("no error");
    };
    for context in [
        two_sums(event, [false; 2]),
        two_sums(through_another, [false; 2]),
        two_sums(host, [false; 2]),
    ] {
        assert!(context.findings.is_empty(), "{:?}", context.findings);
        assert_eq!(context.error, None);
    }
}
