//! An enum whose values have a word each: one table gives the type, the list of its values, and the words.

/// Declares the enum. `ALL` has its values in the order of the table; `word` is the word in tables and settings.
macro_rules! worded_enum {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $($(#[$note:meta])* $value:ident = $word:literal,)+
        }
    ) => {
        $(#[$attribute])*
        pub enum $name {
            $($(#[$note])* $value,)+
        }

        impl $name {
            /// All values, in order.
            pub const ALL: [$name; [$($word),+].len()] = [$($name::$value),+];

            /// The word in the tables, the settings, and JSON.
            pub const fn word(self) -> &'static str {
                match self {
                    $($name::$value => $word,)+
                }
            }
        }
    };
}

pub(super) use worded_enum;
