"""Side files of a task's rows: pictures, sounds, arrays, texts, tables of one sample."""
