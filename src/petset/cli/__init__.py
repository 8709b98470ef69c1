"""cli: the composition root. The only room that joins the others into processes."""
