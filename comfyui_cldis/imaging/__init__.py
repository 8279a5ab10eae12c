"""Images outside of any model: files read and written, contact sheets, colour."""
