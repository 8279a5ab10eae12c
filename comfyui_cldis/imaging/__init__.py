"""Images outside of any model: files, contact sheets, colour."""
