"""What is computed: cascades of Einsums, their analysis and evaluation, masks, and the methods."""
