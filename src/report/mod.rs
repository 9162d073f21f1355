//! What a person gets to look at: CSV, JSON, pictures, one self-contained HTML page.
