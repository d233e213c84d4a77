mod pieces;
mod simulation;
mod troubles;
