//! Bodies: in memory while they are small, a file in the spool folder when they are not.
