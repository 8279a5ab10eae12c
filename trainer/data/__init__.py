"""Where training pictures come from: folders and zip files of pictures, or procedural heads."""
