//! Field numbers of the messages in `metrics.proto`.

pub mod family {
    pub const NAME: u32 = 1;
    pub const HELP: u32 = 2;
    pub const TYPE: u32 = 3;
    pub const METRIC: u32 = 4;
}

pub mod metric {
    pub const LABEL: u32 = 1;
    pub const GAUGE: u32 = 2;
    pub const COUNTER: u32 = 3;
    pub const SUMMARY: u32 = 4;
    pub const UNTYPED: u32 = 5;
    pub const TIMESTAMP_MS: u32 = 6;
    pub const HISTOGRAM: u32 = 7;
}

pub mod label {
    pub const NAME: u32 = 1;
    pub const VALUE: u32 = 2;
}

/// `Gauge`, `Counter` and `Untyped`, whose one field is the same.
pub mod number {
    pub const VALUE: u32 = 1;
}

pub mod summary {
    pub const COUNT: u32 = 1;
    pub const SUM: u32 = 2;
    pub const QUANTILE: u32 = 3;
}

pub mod quantile {
    pub const QUANTILE: u32 = 1;
    pub const VALUE: u32 = 2;
}

pub mod histogram {
    pub const COUNT: u32 = 1;
    pub const SUM: u32 = 2;
    pub const BUCKET: u32 = 3;
    pub const COUNT_FLOAT: u32 = 4;
    pub const SCHEMA: u32 = 5;
    pub const ZERO_THRESHOLD: u32 = 6;
    pub const ZERO_COUNT: u32 = 7;
    pub const ZERO_COUNT_FLOAT: u32 = 8;
    pub const NEGATIVE: MessageSide = MessageSide {
        span: 9,
        delta: 10,
        count: 11,
    };
    pub const POSITIVE: MessageSide = MessageSide {
        span: 12,
        delta: 13,
        count: 14,
    };
    pub const CREATED: u32 = 15;
    pub const EXEMPLAR: u32 = 16;

    /// Field numbers of the native buckets on one side of zero.
    #[derive(Clone, Copy)]
    pub struct MessageSide {
        pub span: u32,
        pub delta: u32,
        pub count: u32,
    }
}

pub mod bucket {
    pub const COUNT: u32 = 1;
    pub const UPPER_BOUND: u32 = 2;
    pub const EXEMPLAR: u32 = 3;
    pub const COUNT_FLOAT: u32 = 4;
}

pub mod span {
    pub const OFFSET: u32 = 1;
    pub const LENGTH: u32 = 2;
}

pub mod exemplar {
    pub const LABEL: u32 = 1;
    pub const VALUE: u32 = 2;
    pub const TIMESTAMP: u32 = 3;
}

pub mod timestamp {
    pub const SECONDS: u32 = 1;
    pub const NANOS: u32 = 2;
}
