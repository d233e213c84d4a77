mod pieces;
mod simulation;
