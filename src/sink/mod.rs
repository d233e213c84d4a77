//! where events go to. Floor 7.
