//! The macros behind the message table: from a row they make the value, its encoder, decoder, debug
//! text and generator, and the enum of all messages.

/// See `table.rs`, its only user.
macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $number:literal $Name:ident $bolt:literal {
            $( $field:ident: $Field:ty, )*
        } then $End:ident {
            $( $record:literal $tlv:ident: $Value:ty, )*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[allow(missing_docs, reason = "the fields bear their BOLT names")]
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Name {
                $( pub $field: $Field, )*
                $( pub $tlv: Option<$Value>, )*
                /// What follows the fields above.
                pub extension: $End,
            }

            $crate::declare::body! { $number $Name $bolt $End {
                $( $field: $Field, )* $( ; $record $tlv: $Value )*
            } }
        )*

        $crate::declare::all_messages! { $( $number $Name $bolt, )* }
        $crate::declare::dispatch! { $( $number $Name, )* }
    };
}

/// One message's codec.
macro_rules! body {
    ($number:literal $Name:ident $bolt:literal $End:ident {
        $( $field:ident: $Field:ty, )* $( ; $record:literal $tlv:ident: $Value:ty )*
    }) => {
        impl Body for $Name {
            const TYPE: u16 = $number;
            const NAME: &'static str = $bolt;

            #[inline]
            fn read_body(body: &[u8]) -> Result<Self, Fault> {
                let fault = |field, broke| Fault::Field { message: $bolt, field, broke };
                let mut from = Reader::new(body);
                $( let $field = <$Field as Field>::read(&mut from)
                    .map_err(|broke| fault(stringify!($field), broke))?; )*
                $( let mut $tlv = None; )*
                let extension = <$End as Extension>::read(&mut from, |record| {
                    match record.number {
                        $( $record => $tlv = Some(read_value::<$Value>(record.value)
                            .map_err(|broke| InRecord(stringify!($tlv), broke))?), )*
                        _ => return Ok(false),
                    }
                    #[allow(unreachable_code, reason = "there are messages without records")]
                    Ok(true)
                })
                .map_err(|InRecord(field, broke)| fault(field, broke))?;
                Ok(Self { $( $field, )* $( $tlv, )* extension })
            }

            #[inline]
            fn write_body(&self, to: &mut Vec<u8>) {
                $( Field::write(&self.$field, to); )*
                #[allow(unused_mut, reason = "there are messages without records")]
                let mut at = 0;
                $(
                    self.extension.write_before(&mut at, $record, to);
                    if let Some(value) = &self.$tlv {
                        write_record($record, value, to);
                    }
                )*
                self.extension.write_rest(at, to);
            }

            #[inline]
            fn body_size(&self) -> usize {
                0 $( + Field::size(&self.$field) )*
                    $( + self.$tlv.as_ref().map_or(0, |value| record_size($record, value)) )*
                    + self.extension.size()
            }

            fn generate(dice: &mut Dice) -> Self {
                Self {
                    $( $field: Field::generate(dice), )*
                    $( $tlv: dice.one_in(2).then(|| <$Value as Value>::generate(dice)), )*
                    extension: Extension::generate(dice),
                }
            }
        }
    };
}

/// The enum of all messages.
macro_rules! all_messages {
    ($( $number:literal $Name:ident $bolt:literal, )*) => {
        /// Any message.
        #[derive(Clone, PartialEq, Eq)]
        pub enum Message {
            $( #[doc = concat!("`", $bolt, "`")] $Name($Name), )*
            /// An odd message that the table does not name, for whoever subscribes.
            Unknown(Unnamed),
        }

        $( impl From<$Name> for Message {
            fn from(message: $Name) -> Self {
                Self::$Name(message)
            }
        } )*

        impl Message {
            /// Type and BOLT name of every message in the table.
            pub const ALL: &'static [(u16, &'static str)] = &[$( ($number, $bolt), )*];

            /// Its type.
            pub const fn message_type(&self) -> u16 {
                match self {
                    $( Self::$Name(_) => $number, )*
                    Self::Unknown(unnamed) => unnamed.message_type,
                }
            }

            /// Its BOLT name.
            pub const fn name(&self) -> &'static str {
                match self {
                    $( Self::$Name(_) => $bolt, )*
                    Self::Unknown(_) => "unknown",
                }
            }

            /// Any message of this type, for tests; `None` if the table does not name it.
            pub fn generate(message_type: u16, dice: &mut Dice) -> Option<Self> {
                match message_type {
                    $( $number => Some($Name::generate(dice).into()), )*
                    _ => None,
                }
            }
        }
    };
}

/// What `Message` does with whichever message it is.
macro_rules! dispatch {
    ($( $number:literal $Name:ident, )*) => {
        impl Message {
            /// The unknown records of a message that may have some.
            pub fn unknown_records(&mut self) -> Option<&mut $crate::tlv::Unknown> {
                match self {
                    $( Self::$Name(message) => message.extension.unknown_mut(), )*
                    Self::Unknown(_) => None,
                }
            }

            pub(crate) fn body(&self) -> &dyn core::fmt::Debug {
                match self {
                    $( Self::$Name(message) => message, )*
                    Self::Unknown(unnamed) => unnamed,
                }
            }

            pub(crate) fn body_size(&self) -> usize {
                match self {
                    $( Self::$Name(message) => message.body_size(), )*
                    Self::Unknown(unnamed) => unnamed.payload.len(),
                }
            }

            pub(crate) fn write_body(&self, to: &mut Vec<u8>) {
                match self {
                    $( Self::$Name(message) => message.write_body(to), )*
                    Self::Unknown(unnamed) => to.extend_from_slice(&unnamed.payload),
                }
            }

            pub(crate) fn read_body(message_type: u16, body: &[u8]) -> Result<Self, Fault> {
                match message_type {
                    $( $number => $Name::read_body(body).map(Self::$Name), )*
                    message_type => Unnamed::read(message_type, body).map(Self::Unknown),
                }
            }
        }
    };
}

pub(crate) use {all_messages, body, dispatch, messages};
