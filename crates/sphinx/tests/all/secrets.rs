//! Secrets do not stay with whoever hands them in.

use sphinx::{ReturnKeys, SessionKey, SharedSecret};

#[test]
fn what_is_taken_is_not_left_with_the_caller() {
    let mut bytes = [5; 32];
    assert!(SessionKey::take(&mut bytes).is_ok());
    assert_eq!(bytes, [0; 32]);
    let mut bytes = [0xff; 32];
    assert!(SessionKey::take(&mut bytes).is_err());
    assert_eq!(bytes, [0; 32], "nor if it is refused");
    let mut bytes = [5; 32];
    SharedSecret::take(&mut bytes);
    assert_eq!(bytes, [0; 32]);
    let mut bytes = [5; 64];
    ReturnKeys::take(&mut bytes);
    assert_eq!(bytes, [0; 64]);
}

#[test]
fn what_travels_is_a_pointer_so_that_a_move_leaves_nothing_behind() {
    let pointer = size_of::<usize>();
    assert_eq!(size_of::<SessionKey>(), pointer);
    assert_eq!(size_of::<SharedSecret>(), pointer);
    assert_eq!(size_of::<ReturnKeys>(), 2 * pointer);
}
