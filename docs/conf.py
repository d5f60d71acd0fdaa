"""How Sphinx builds the guide; `make docs` runs it, with warnings as errors and no network."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # no line about GPUs in the notebook's output

import jaxmask

project = "jaxmask"
author = "the jaxmask authors"
version = release = jaxmask.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "docstrings",
    "mathml",
]
exclude_patterns = ["_build", "extensions"]
templates_path = ["templates"]

html_theme = "furo"
html_title = "jaxmask"
html_static_path = ["static"]
html_css_files = ["guide.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_copyright = False

default_role = "py:obj"
nitpicky = True
# Types in signatures: other libraries' are shown, not linked, as their indices would have to be
# fetched; and an annotation's axes, such as "rows units", are taken for types.
nitpick_ignore_regex = [("py:class", r"(?!jaxmask\.).*")]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
