"""The checks of the doctor: a module for each section of its report. Two sections have several modules."""
