//! How one value stands in a message, and how one stands in a TLV record.

use crate::{dice::Dice, fault::Broke, reader::Reader};

/// A value with a place in the fixed part of a message: it knows where it ends.
pub trait Field: Sized {
    /// Takes the value off the front.
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke>;
    /// Appends it.
    fn write(&self, to: &mut Vec<u8>);
    /// Bytes that [`Field::write`] appends.
    fn size(&self) -> usize;
    /// Any such value, for tests.
    fn generate(dice: &mut Dice) -> Self;
}

/// A field of the same size, whatever its value; so it needs no length in a TLV record either.
pub trait Fixed: Field {}

/// A value that fills a TLV record: the record knows where it ends.
pub trait Value: Sized {
    /// Reads the record; what is left over, the caller refuses.
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke>;
    /// Appends the value.
    fn write(&self, to: &mut Vec<u8>);
    /// Bytes that [`Value::write`] appends.
    fn size(&self) -> usize;
    /// Any such value, for tests.
    fn generate(dice: &mut Dice) -> Self;
}

impl<T: Fixed> Value for T {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        Field::read(from)
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        Field::write(self, to);
    }

    #[inline]
    fn size(&self) -> usize {
        Field::size(self)
    }

    fn generate(dice: &mut Dice) -> Self {
        Field::generate(dice)
    }
}

/// Declares numbers with a meaning, each with its unit for people.
macro_rules! numbers {
    ($( $(#[$doc:meta])* $Name:ident($Int:ty) $unit:literal; )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $Name(pub $Int);

        impl core::fmt::Display for $Name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!("{}", $unit), self.0)
            }
        }

        impl core::fmt::Debug for $Name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        impl $crate::field::Field for $Name {
            #[inline]
            fn read(from: &mut $crate::reader::Reader<'_>) -> Result<Self, $crate::fault::Broke> {
                Ok(Self(<$Int>::from_be_bytes(*from.array()?)))
            }

            #[inline]
            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.0.to_be_bytes());
            }

            #[inline]
            fn size(&self) -> usize {
                size_of::<$Int>()
            }

            fn generate(dice: &mut $crate::dice::Dice) -> Self {
                Self(dice.number() as $Int)
            }
        }

        impl $crate::field::Fixed for $Name {}
    )* };
}

/// Declares ids, hashes and other bytes of a fixed length.
///
/// `shown` prints the bytes; `hidden` prints only the name, for what must not reach a log; `own` is
/// printed by code of its own.
macro_rules! bytes {
    ($( $(#[$doc:meta])* $Name:ident($N:literal) $show:ident; )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $Name(pub [u8; $N]);

        bytes!(@$show $Name);

        impl $crate::field::Field for $Name {
            #[inline]
            fn read(from: &mut $crate::reader::Reader<'_>) -> Result<Self, $crate::fault::Broke> {
                Ok(Self(*from.array()?))
            }

            #[inline]
            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.0);
            }

            #[inline]
            fn size(&self) -> usize {
                $N
            }

            fn generate(dice: &mut $crate::dice::Dice) -> Self {
                Self(dice.array())
            }
        }

        impl $crate::field::Fixed for $Name {}
    )* };
    (@shown $Name:ident) => {
        impl core::fmt::Display for $Name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(&$crate::hex::Hex(&self.0), f)
            }
        }

        impl core::fmt::Debug for $Name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
    (@own $Name:ident) => {};
    (@hidden $Name:ident) => {
        impl core::fmt::Debug for $Name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($Name), "(…)"))
            }
        }
    };
}

/// Declares values made of other fixed values in a row.
macro_rules! rows {
    ($( $(#[$doc:meta])* $Name:ident { $( $field:ident: $Field:ty, )* } )*) => { $(
        $(#[$doc])*
        #[allow(missing_docs, reason = "the fields bear their BOLT names")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Name { $( pub $field: $Field, )* }

        impl $crate::field::Field for $Name {
            #[inline]
            fn read(from: &mut $crate::reader::Reader<'_>) -> Result<Self, $crate::fault::Broke> {
                Ok(Self { $( $field: $crate::field::Field::read(from)?, )* })
            }

            #[inline]
            fn write(&self, to: &mut Vec<u8>) {
                $( $crate::field::Field::write(&self.$field, to); )*
            }

            #[inline]
            fn size(&self) -> usize {
                0 $( + $crate::field::Field::size(&self.$field) )*
            }

            fn generate(dice: &mut $crate::dice::Dice) -> Self {
                Self { $( $field: $crate::field::Field::generate(dice), )* }
            }
        }

        impl $crate::field::Fixed for $Name {}
    )* };
}

pub(crate) use {bytes, numbers, rows};

impl Field for bool {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        match *from.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [got] => Err(Broke::NotBool { got }),
        }
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    #[inline]
    fn size(&self) -> usize {
        1
    }

    fn generate(dice: &mut Dice) -> Self {
        dice.one_in(2)
    }
}

impl Fixed for bool {}

impl<T: Field> Field for Box<T> {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<Self, Broke> {
        T::read(from).map(Self::new)
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        T::write(self, to);
    }

    #[inline]
    fn size(&self) -> usize {
        T::size(self)
    }

    fn generate(dice: &mut Dice) -> Self {
        Self::new(T::generate(dice))
    }
}

impl<T: Fixed> Fixed for Box<T> {}
