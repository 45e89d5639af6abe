//! Without the allocator in place every figure would be zero, and every promise "kept".

#[test]
#[should_panic(expected = "not this binary's #[global_allocator]")]
fn measuring_without_the_allocator_is_refused() {
    counting::measure(|| 1);
}
