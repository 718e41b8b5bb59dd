"""Mutation testing of expectations: would they notice what really goes wrong?"""
