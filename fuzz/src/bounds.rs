//! What a body may allocate.

/// Runs `body` and asserts that it never held more than `bytes_max` bytes that it allocated.
pub(crate) fn hold_within<T>(bytes_max: usize, body: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(body()));
    assert!(
        info.bytes_max <= bytes_max as u64,
        "{} bytes were held at one time, {bytes_max} are allowed",
        info.bytes_max
    );
    result.expect("the body ran")
}

/// Runs `body` and asserts that it neither allocates nor frees.
pub(crate) fn without_heap<T>(body: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(body()));
    assert_eq!((info.count_total, info.count_current), (0, 0), "the heap was used");
    result.expect("the body ran")
}
