"""What people look at: `report.html` and `postmortem.md` of one eval. Pure: strings out of a verdict and its rows.

Model output is hostile input: everything is escaped, and the page allows no script and no request at all.
"""

from burnish.reporting.meta import ReportMeta
from burnish.reporting.page import report_html
from burnish.reporting.postmortem import postmortem_md
from burnish.reporting.sentences import headline

__all__ = ["ReportMeta", "headline", "postmortem_md", "report_html"]
