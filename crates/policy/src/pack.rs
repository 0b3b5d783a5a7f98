use std::fmt;
use std::str::FromStr;

/// A policy that ships with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pack {
    /// Every run needs a signature.
    Strict,
    /// Plain reads inside the signed task scope run; everything else asks.
    SoloCareful,
    /// Like solo-careful, and in production somebody else signs; the schema takes two people.
    Team,
    /// Nothing without somebody who did not ask for it; writes take two.
    Regulated,
}

/// Text that names no pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown policy pack; the packs are `strict`, `solo-careful`, `team` and `regulated`")]
pub struct PackError(());

impl Pack {
    /// Every pack.
    pub const ALL: [Self; 4] = [Self::Strict, Self::SoloCareful, Self::Team, Self::Regulated];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::SoloCareful => "solo-careful",
            Self::Team => "team",
            Self::Regulated => "regulated",
        }
    }

    /// Its Cedar text.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Strict => include_str!("../../../policies/strict.cedar"),
            Self::SoloCareful => include_str!("../../../policies/solo-careful.cedar"),
            Self::Team => include_str!("../../../policies/team.cedar"),
            Self::Regulated => include_str!("../../../policies/regulated.cedar"),
        }
    }
}

impl fmt::Display for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Pack {
    type Err = PackError;
    fn from_str(text: &str) -> Result<Self, PackError> {
        Self::ALL.into_iter().find(|pack| pack.as_str() == text).ok_or(PackError(()))
    }
}
