"""The two panels as one page: tables, charts, HTML, Markdown, and the model card."""
