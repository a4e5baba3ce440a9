"""Sphinx configuration of the report; `rigl_nb.report.pages.stitching` copies this folder and adds the notebooks."""

project = "Rigging the Lottery: an executable reproduction"
author = "The rigl_nb developers"
project_copyright = author
extensions = ["myst_nb", "sphinxcontrib.bibtex"]
exclude_patterns = ["_static"]

nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_ipywidgets_js = {}  # the default loads scripts from a CDN; a page without a kernel has no use for them
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"
bibtex_cite_id = "cite-{key}"  # the default counts, and a page of all pages would count twice

numfig = True
math_numfig = True
numfig_secnum_depth = 0
math_number_all = False

add_module_names = False
html_use_index = html_domain_indices = False

mathjax_path = "mathjax/tex-svg.js"
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["report.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "footer_content_items": ["extra-footer.html"],
    "home_page_in_toc": True,
    "logo": {"text": project},
    "navbar_persistent": [],  # the theme puts its search field in the side bar; once is enough
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
}

if tags.has("onefile"):  # noqa: F821 (Sphinx gives `tags`)
    exclude_patterns.append("reference.md")  # the page about the code is for the screen; toctree takes what there is
    html_sidebars = {"**": []}  # one page has no index to search and no other page to go to
    html_theme_options["article_header_start"] = []
