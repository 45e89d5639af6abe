//! One binary for all tests of `peer`.

mod codec;
mod desk;
mod faults;
mod holder;
mod host;
mod life;
mod pair;
mod routing;
mod thawed;
mod tunnel;
