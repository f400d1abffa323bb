"""What `kmir.study` is made of: the data of a study, one trial of it, its table, its pictures."""
