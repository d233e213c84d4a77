//! Tests of the room: its pieces by tables, one lane by scenarios, several by a seeded simulation.

mod judging;
mod lanes;
mod pieces;
mod simulation;
