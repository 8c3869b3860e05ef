"""Tests of the cluster that tests run on, from outside of it."""
