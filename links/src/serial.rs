//! Times as the journal has them: nanoseconds as whole numbers.

/// A point of the monotonic clock.
pub(crate) mod mono {
    use halloo_base::Mono;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Mono, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mono, D::Error> {
        u64::deserialize(from).map(Mono)
    }
}

/// A point of the monotonic clock that may be missing.
pub(crate) mod maybe_mono {
    use halloo_base::Mono;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Option<Mono>, to: S) -> Result<S::Ok, S::Error> {
        at.map(|at| at.0).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Mono>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Mono))
    }
}

/// A point of the wall clock.
pub(crate) mod wall {
    use halloo_base::Wall;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Wall, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Wall, D::Error> {
        u64::deserialize(from).map(Wall)
    }
}

/// A span.
pub(crate) mod nanos {
    use halloo_base::Nanos;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Nanos, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(span.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Nanos, D::Error> {
        i64::deserialize(from).map(Nanos)
    }
}

/// A span that may be missing.
pub(crate) mod maybe_nanos {
    use halloo_base::Nanos;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Option<Nanos>, to: S) -> Result<S::Ok, S::Error> {
        span.map(|span| span.0).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Nanos>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Nanos))
    }
}
