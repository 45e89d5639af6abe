//! One binary for all tests of `peer`.

mod faults;
mod life;
mod pair;
mod routing;
mod tunnel;
