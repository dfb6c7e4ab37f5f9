use serde::{Deserialize, Serialize};

/// A stored word that this version does not know: a corrupt row, or one from a newer version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {what} that this version of Forge knows")]
pub struct UnknownWord {
    /// What the word should have been.
    pub what: &'static str,
    /// The word found.
    pub word: String,
}

#[doc(hidden)]
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident ($what:literal) { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that the database, the API and the CLI use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownWord { what: $what, word: word.to_owned() }),
                }
            }
        }
    };
}

words! {
    /// The status of a run (spec: *WorkflowStatus Enum*, and `paused`).
    WorkflowStatus ("run status") {
        /// Accepted, not yet executing.
        Created = "created",
        /// Executing steps.
        Running = "running",
        /// Nothing to do until a timer ends.
        Waiting = "waiting",
        /// Finished with an output.
        Completed = "completed",
        /// Running compensation handlers.
        Compensating = "compensating",
        /// Rolled back.
        Compensated = "compensated",
        /// Ended by an error with nothing to compensate, or with compensations that failed.
        Failed = "failed",
        /// Stopped until somebody resumes or cancels it.
        Paused = "paused",
    }
}

impl WorkflowStatus {
    /// Whether nothing more happens unless somebody asks for it. `paused` is not final.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Failed)
    }

    /// Whether a run with this status is final or paused.
    pub const fn is_at_rest(self) -> bool {
        self.is_final() || matches!(self, Self::Paused)
    }
}

words! {
    /// The status of a step or another journaled call (spec: *StepStatus Enum*).
    StepStatus ("step status") {
        /// Not started.
        Pending = "pending",
        /// Begun and not ended.
        Running = "running",
        /// Finished successfully.
        Completed = "completed",
        /// Failed for good.
        Failed = "failed",
        /// Completed, and rolled back afterwards.
        Compensated = "compensated",
        /// Dropped by the workflow before it ended, for example by a `select!`.
        Skipped = "skipped",
    }
}
