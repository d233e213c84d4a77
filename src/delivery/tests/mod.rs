//! Tests of the room: its pieces by tables, one lane by scenarios, several by a seeded simulation.

mod judging;
mod lanes;
mod oversize;
mod pieces;
mod rates;
mod simulation;
mod standstill;
mod windows;
