"""The packages that the command line needs beside those of the library."""

EXTRA = ("typer", "rich", "sklearn", "matplotlib", "jinja2")
GET_EXTRA = 'the command line needs {missing}: pip install "steepest[bench]"'
