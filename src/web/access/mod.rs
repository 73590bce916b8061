//! Who may use the web page: accounts, sessions, tokens, and what keeps others out.
