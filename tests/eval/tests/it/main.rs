//! docent-eval, through its command.
