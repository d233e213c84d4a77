//! The strict fakes of the hermetic suite.

#[path = "../../tests/it/fakes/acknowledgements.rs"]
pub mod acknowledgements;
#[path = "../../tests/it/fakes/bulk.rs"]
pub mod bulk;
#[path = "../../tests/it/fakes/firehose.rs"]
pub mod firehose;
#[path = "../../tests/it/fakes/hec.rs"]
pub mod hec;
#[path = "../../tests/it/fakes/http.rs"]
pub mod http;
#[path = "../../tests/it/fakes/intake.rs"]
pub mod intake;
#[path = "../../tests/it/fakes/plan.rs"]
pub mod plan;
#[path = "../../tests/it/fakes/s3.rs"]
pub mod s3;
#[path = "../../tests/it/fakes/sumo.rs"]
pub mod sumo;
